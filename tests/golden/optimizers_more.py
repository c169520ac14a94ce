"""Makes optimizers_more.json: rules and schedules in double precision, by PyTorch where it has them, else in NumPy.

    python optimizers_more.py > optimizers_more.json     (torch 2.15, numpy 2.4)
"""

import json

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
STEPS, WIDTH = 12, 6


def problem():
    """Gradients of very different sizes, one of them always zero, one zero now and then."""
    rng = np.random.default_rng(7)
    p0 = rng.normal(size=WIDTH)
    grads = rng.normal(size=(STEPS, WIDTH)) * np.array([1.0, 1e-3, 30.0, 0.1, 1.0, 0.0])
    grads[::3, 4] = 0.0
    return p0, grads


def by_torch(rule, p0, grads, **options):
    p = torch.nn.Parameter(torch.tensor(p0))
    optimizer = rule([p], foreach=False, **options)
    path = []
    for g in grads:
        p.grad = torch.tensor(g)
        optimizer.step()
        path.append(p.detach().tolist())
    return path


def lion(p, grads, lr, beta1, beta2, weight_decay):
    """Chen et al. 2023, algorithm 2."""
    p, m, path = p.copy(), np.zeros_like(p), []
    for g in grads:
        c = beta1 * m + (1 - beta1) * g
        p = p - lr * (np.sign(c) + weight_decay * p)
        m = beta2 * m + (1 - beta2) * g
        path.append(p.tolist())
    return path


def adabelief(p, grads, lr, beta1, beta2, eps, weight_decay):
    """Zhuang et al. 2020, algorithm 2; weight_decay is an L2 penalty."""
    p, m, s, path = p.copy(), np.zeros_like(p), np.zeros_like(p), []
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
        m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
        p = p - lr * m_hat / (np.sqrt(s_hat) + eps)
        path.append(p.tolist())
    return path


def rules():
    p0, grads = problem()
    runs = []

    def run(name, path, **hyper):
        runs.append({"optimizer": name, "hyper": hyper, "params": path})

    for decay in (0.0, 0.1):
        for rho, eps in ((0.9, 1e-6), (0.95, 1e-3)):
            path = by_torch(torch.optim.Adadelta, p0, grads, lr=1.0, rho=rho, eps=eps, weight_decay=decay)
            run("adadelta", path, lr=1.0, decay=rho, eps=eps, weight_decay=decay)
        for beta1, beta2 in ((0.9, 0.999), (0.8, 0.9)):
            betas = {"beta1": beta1, "beta2": beta2, "eps": 1e-8, "weight_decay": decay}
            options = {"betas": (beta1, beta2), "eps": 1e-8, "weight_decay": decay}
            run("adamax", by_torch(torch.optim.Adamax, p0, grads, lr=0.02, **options), lr=0.02, **betas)
            run("radam", by_torch(torch.optim.RAdam, p0, grads, lr=0.01, **options), lr=0.01, **betas)
            run("adabelief", adabelief(p0, grads, 0.01, beta1, beta2, 1e-8, decay), lr=0.01, **betas)
            run("lion", lion(p0, grads, 0.01, beta1, beta2, decay), lr=0.01, beta1=beta1, beta2=beta2, weight_decay=decay)
            for psi in (0.004, 0.5):
                path = by_torch(torch.optim.NAdam, p0, grads, lr=0.02, momentum_decay=psi, **options)
                run("nadam", path, lr=0.02, momentum_decay=psi, **betas)
    return {"kind": "optimizers", "name": "optimizers_more", "p0": p0.tolist(), "grads": grads.tolist(), "runs": runs}


def rates(make, steps):
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=0.1)
    schedule, values = make(optimizer), []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def schedules():
    from torch.optim import lr_scheduler as s

    runs = []
    for steps, warmup, rise, fall in ((20, 0.3, 25.0, 1e4), (37, 0.25, 10.0, 100.0), (50, 0.5, 4.0, 1e3)):
        values = rates(
            lambda o: s.OneCycleLR(
                o, max_lr=0.1, total_steps=steps, pct_start=warmup, div_factor=rise, final_div_factor=fall
            ),
            steps,
        )
        hyper = {"steps": steps, "warmup": warmup, "rise": rise, "fall": fall}
        runs.append({"schedule": "one_cycle", "lr": 0.1, "hyper": hyper, "values": values})
    for period, growth, minimum in ((5, 1, 0.0), (4, 2, 0.001), (3, 3, 0.0)):
        values = rates(lambda o: s.CosineAnnealingWarmRestarts(o, period, growth, minimum), 45)
        hyper = {"period": period, "growth": growth, "eta_min": minimum}
        runs.append({"schedule": "cosine_restarts", "lr": 0.1, "hyper": hyper, "values": values})
    return {"kind": "schedules", "name": "schedules_more", "runs": runs}


def plateaus():
    from torch.optim import lr_scheduler as s

    rng = np.random.default_rng(11)
    losses = (2.0 * np.exp(-np.arange(40) / 6.0) + 0.3 + 0.05 * rng.normal(size=40)).tolist()
    runs = []
    for factor, patience, threshold, cooldown, minimum in (
        (0.1, 10, 1e-4, 0, 0.0),
        (0.5, 2, 1e-4, 0, 0.0),
        (0.5, 1, 1e-2, 3, 0.0),
        (0.3, 0, 0.05, 1, 0.002),
    ):
        p = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([p], lr=0.1)
        schedule = s.ReduceLROnPlateau(
            optimizer, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=minimum, eps=0.0
        )
        values = []
        for loss in losses:
            values.append(optimizer.param_groups[0]["lr"])
            schedule.step(loss)
        hyper = {"factor": factor, "patience": patience, "threshold": threshold, "cooldown": cooldown, "min_lr": minimum}
        runs.append({"schedule": "plateau", "lr": 0.1, "hyper": hyper, "values": values})
    return {"kind": "plateaus", "name": "plateaus", "losses": losses, "runs": runs}


if __name__ == "__main__":
    cases = [rules(), schedules(), plateaus()]
    lines = ",\n".join(json.dumps(case) for case in cases)
    print('{"cases": [\n' + lines + "\n]}")
