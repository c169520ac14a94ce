"""Makes the golden numbers: computes every output in the json files here from the inputs beside it.

    python make.py            write the files anew
    python make.py --check    compare with what they hold, and write nothing

Run with Python 3.11.7, torch 2.15.0 and numpy 2.4.6, on x86-64.

Everything is in double precision. PyTorch computes what it has; in NumPy are the classes of the book (Saito, Deep
Learning from Scratch; oreilly-japan/deep-learning-from-scratch at 07b1161, files under common/), and Lion and AdaBelief
after the algorithms of their papers. A program is handed the inputs of a case (INPUTS below) and nothing else of it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from torch.optim import lr_scheduler

torch.set_default_dtype(torch.float64)  # or NAdam keeps one of its factors in single precision
torch.set_num_threads(1)
HERE = Path(__file__).parent
FILES = ("layers", "nets", "optimizers", "optimizers_more")

# The inputs of each kind of case. (name, fields) are those of an object, or of each object of a list.
RUNS = ("runs", ["optimizer", "hyper"])
RATES = ("runs", ["schedule", "lr", "hyper"])
INPUTS = {
    "affine": ["x", "W", "b", "dy"],
    "relu": ["x", "dy"],
    "sigmoid": ["x", "dy"],
    "tanh": ["x", "dy"],
    "activation": ["function", "hyper", "x", "dy"],
    "prelu": ["x", "a", "dy"],
    "batchnorm": ["gamma", "beta", "eps", "momentum_torch", "running_mean_init", "running_var_init"]
    + ["x1", "dy1", "x2", "dy2", "x_eval", "dy_eval", ("book", ["eps", "momentum", "running_var_init"])],
    "layernorm": ["x", "gamma", "beta", "eps", "dy"],
    "softmax_ce": ["logits", "labels"],
    "mse": ["y", "t"],
    "dropout": ["p", "x", "dy", "mask"],
    "net": ["sizes", "batchnorm", "bn_eps", "bn_momentum_torch", "activation", "l2", "x", "labels", "params"]
    + ["dropout_p", "masks", ("adam5", ["lr", "beta1", "beta2", "eps"])],
    "optimizers": ["p0", "grads", RUNS],
    "momentum_lr_change": ["p0", "grads", "lrs", "momentum"],
    "clip": ["grads", ("runs", ["max_norm"]), "value_clip"]
    + [("sgd_momentum", ["p0", "grads", "lr", "momentum", "max_norm"])],
    "trajectory": ["start", RUNS],
    "schedules": [RATES],
    "plateaus": ["losses", RATES],
}
# What the inputs do not say: the updates of a trajectory, and the steps of a schedule that has no length of its own.
UPDATES = 30
STEPS = {"cosine_restarts": 45}
OTHER_STEPS = 20


def numbers(value):
    return torch.tensor(value, dtype=torch.get_default_dtype())  # masks, too, are whole numbers in the files


def leaf(value):
    return numbers(value).requires_grad_()


def backward(output, dy, /, **leaves):
    """The gradients of sum(output dy) by autograd, under the names given."""
    grads = torch.autograd.grad(output, list(leaves.values()), None if dy is None else numbers(dy))
    return dict(zip(leaves, grads))


# Layers and losses


def affine(case):
    x, w, b = leaf(case["x"]), leaf(case["W"]), leaf(case["b"])
    y = x @ w + b
    return {"y": y, **backward(y, case["dy"], dx=x, dW=w, db=b)}


def activation(case, function):
    x = leaf(case["x"])
    y = function(x)
    return {"y": y, **backward(y, case["dy"], dx=x)}


def prelu(case):
    x, a = leaf(case["x"]), leaf(case["a"])
    y = functional.prelu(x, a)
    return {"y": y, **backward(y, case["dy"], dx=x, da=a)}


def batchnorm(case):
    gamma, beta, eps, momentum = leaf(case["gamma"]), leaf(case["beta"]), case["eps"], case["momentum_torch"]
    mean = torch.full_like(gamma, case["running_mean_init"], requires_grad=False)
    unbiased = torch.full_like(gamma, case["running_var_init"], requires_grad=False)
    biased = unbiased.clone()
    made = {}
    for k in "12":
        x = leaf(case[f"x{k}"])
        y = functional.batch_norm(x, mean, unbiased, gamma, beta, True, momentum, eps)  # updates mean and unbiased
        grads = backward(y, case[f"dy{k}"], dx=x, dgamma=gamma, dbeta=beta)
        batch_var = x.var(0, correction=0).detach()
        biased = (1 - momentum) * biased + momentum * batch_var
        made |= {f"y{k}": y, **{name + k: grad for name, grad in grads.items()}}
        made |= {f"batch_mean{k}": x.mean(0), f"batch_var_biased{k}": batch_var}
    made |= {"running_mean": mean, "running_var_unbiased": unbiased, "running_var_biased": biased}
    x = leaf(case["x_eval"])
    y = functional.batch_norm(x, mean, unbiased, gamma, beta, False, momentum, eps)
    made |= {"y_eval_unbiased": y, "dx_eval_unbiased": backward(y, case["dy_eval"], dx=x)["dx"]}
    made["y_eval_biased"] = functional.batch_norm(x, mean, biased, gamma, beta, False, momentum, eps)
    return made | {"book": batchnorm_of_the_book(case, **case["book"])}


def batchnorm_of_the_book(case, eps, momentum, running_var_init):
    """common/layers.py, BatchNormalization, where eps is 10e-7."""
    gamma, beta = np.array(case["gamma"]), np.array(case["beta"])
    running_mean, running_var = np.zeros_like(gamma), np.full_like(gamma, running_var_init)
    for k in "12":
        x, dout = np.array(case[f"x{k}"]), np.array(case[f"dy{k}"])
        mu = x.mean(axis=0)
        xc = x - mu
        var = np.mean(xc**2, axis=0)
        std = np.sqrt(var + eps)
        xn = xc / std
        running_mean = momentum * running_mean + (1 - momentum) * mu
        running_var = momentum * running_var + (1 - momentum) * var
        y = gamma * xn + beta
        dbeta = dout.sum(axis=0)
        dgamma = np.sum(xn * dout, axis=0)
        dxn = gamma * dout
        dxc = dxn / std
        dstd = -np.sum((dxn * xc) / (std * std), axis=0)
        dvar = 0.5 * dstd / std
        dxc += (2.0 / len(x)) * xc * dvar
        dx = dxc - np.sum(dxc, axis=0) / len(x)
    y_eval = gamma * ((np.array(case["x_eval"]) - running_mean) / np.sqrt(running_var + eps)) + beta
    made = {"y2": y, "dx2": dx, "dgamma2": dgamma, "dbeta2": dbeta}
    return made | {"running_mean": running_mean, "running_var": running_var, "y_eval": y_eval}


def layernorm(case):
    x, gamma, beta = leaf(case["x"]), leaf(case["gamma"]), leaf(case["beta"])
    y = functional.layer_norm(x, gamma.shape, gamma, beta, case["eps"])
    return {"y": y, **backward(y, case["dy"], dx=x, dgamma=gamma, dbeta=beta)}


def softmax_ce(case):
    logits, labels = leaf(case["logits"]), torch.tensor(case["labels"])
    loss = functional.cross_entropy(logits, labels)
    made = {"probs": functional.softmax(logits, 1), "loss": loss, **backward(loss, None, dlogits=logits)}
    return made | {"loss_book": cross_entropy_of_the_book(case)}


def cross_entropy_of_the_book(case):
    """common/functions.py, softmax and cross_entropy_error."""
    x = np.array(case["logits"])
    x = x - np.max(x, axis=-1, keepdims=True)
    y = np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)
    return -np.sum(np.log(y[np.arange(len(y)), case["labels"]] + 1e-7)) / len(y)


def mse(case):
    y, t = leaf(case["y"]), numbers(case["t"])
    loss, half = functional.mse_loss(y, t), functional.mse_loss(y, t, reduction="sum") / 2
    made = {"loss": loss, **backward(loss, None, dy=y)}
    return made | {"half_sum_loss": half, **backward(half, None, half_sum_dy=y)}


def dropout(case):
    """With a given mask, which torch's own dropout draws; its evaluation is the identity."""
    x, mask, p = leaf(case["x"]), numbers(case["mask"]), case["p"]
    y = x * mask / (1 - p)
    inverted = {"y_train": y, **backward(y, case["dy"], dx=x), "y_eval": functional.dropout(x, p, training=False)}
    x, mask = np.array(case["x"]), np.array(case["mask"])
    book = {"y_train": x * mask, "dx": np.array(case["dy"]) * mask, "y_eval": x * (1.0 - p)}  # common/layers.py
    return {"inverted": inverted, "book": book}


# Nets


class Net:
    """Affine, BatchNorm, activation, Dropout in each hidden layer; then Affine."""

    def __init__(self, case):
        self.case, self.last = case, len(case["sizes"]) - 1
        self.params = {name: leaf(value) for name, value in case["params"].items()}
        widths = case["sizes"][1:-1] if case["batchnorm"] else []
        self.norms = [(torch.zeros(n), torch.ones(n), torch.ones(n)) for n in widths]

    def affine(self, k, x):
        return x @ self.params[f"W{k}"] + self.params[f"b{k}"]

    def forward(self, training, biased=False):
        """The logits; in training the running statistics move."""
        x = numbers(self.case["x"])
        for k in range(1, self.last):
            x = self.affine(k, x)
            if self.case["batchnorm"]:
                x = self.norm(k, x, training, biased)
            x = getattr(torch, self.case["activation"])(x)
            if training and "masks" in self.case:
                x = x * numbers(self.case["masks"][f"layer{k}"]) / (1 - self.case["dropout_p"])
        return self.affine(self.last, x)

    def norm(self, k, x, training, biased):
        mean, unbiased_var, biased_var = self.norms[k - 1]
        momentum, eps = self.case["bn_momentum_torch"], self.case["bn_eps"]
        if training:
            biased_var.mul_(1 - momentum).add_(momentum * x.detach().var(0, correction=0))
        var = biased_var if biased else unbiased_var
        gamma, beta = self.params[f"gamma{k}"], self.params[f"beta{k}"]
        return functional.batch_norm(x, mean, var, gamma, beta, training, momentum, eps)

    def loss(self, logits):
        weights = sum((value**2).sum() for name, value in self.params.items() if name.startswith("W"))
        return functional.cross_entropy(logits, torch.tensor(self.case["labels"])) + self.case["l2"] / 2 * weights


def net(case):
    fresh = Net(case)
    logits = fresh.forward(training=True)
    loss = fresh.loss(logits)
    made = {"logits": logits, "loss": loss, "grads": backward(loss, None, **fresh.params)}
    return made | {"adam5": five_steps_of_adam(Net(case), **case["adam5"])}


def five_steps_of_adam(model, lr, beta1, beta2, eps):
    optimizer = torch.optim.Adam(model.params.values(), lr, (beta1, beta2), eps, foreach=False)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        losses.append(model.loss(model.forward(training=True)))
        losses[-1].backward()
        optimizer.step()
    made = {"losses_before_step": torch.stack(losses), "params": model.params}
    if model.norms:
        names = ("mean", "var_unbiased", "var_biased")
        made["running"] = {
            f"layer{k}": dict(zip(names, [value.clone() for value in norm])) for k, norm in enumerate(model.norms, 1)
        }
        made["eval_logits_unbiased"] = model.forward(training=False)
        made["eval_logits_biased"] = model.forward(training=False, biased=True)
    else:
        made["eval_logits"] = model.forward(training=False)
    return made | {"loss_after": model.loss(model.forward(training=True))}


# Rules of optimization: from parameters and hyperparameters to a function that takes a gradient and gives parameters


def by_torch(rule, **names):
    """A rule of torch; `names` gives its names for those of our hyperparameters that it calls otherwise."""

    def start(p0, hyper):
        options = {names.get(name, name): value for name, value in hyper.items()}
        if "beta1" in options:
            options["betas"] = options.pop("beta1"), options.pop("beta2")
        p = torch.nn.Parameter(numbers(p0))
        optimizer = rule([p], foreach=False, **options)

        def step(grad):
            p.grad = numbers(grad)
            optimizer.step()
            return p.tolist()

        return step

    return start


def by_formula(formula):
    """A rule as a generator that is sent gradients."""

    def start(p0, hyper):
        path = formula(np.array(p0), **hyper)
        next(path)
        return lambda grad: path.send(np.array(grad)).tolist()

    return start


def adam_of_the_book(p, lr, beta1, beta2, eps, weight_decay):
    """common/optimizer.py, Adam, where eps is 1e-7; it has no decay."""
    assert weight_decay == 0
    m, v, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g = yield p
        t += 1
        lr_t = lr * np.sqrt(1.0 - beta2**t) / (1.0 - beta1**t)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g**2 - v)
        p = p - lr_t * m / (np.sqrt(v) + eps)


def lion(p, lr, beta1, beta2, weight_decay):
    """Chen et al. 2023, algorithm 2."""
    m = np.zeros_like(p)
    while True:
        g = yield p
        c = beta1 * m + (1 - beta1) * g
        p = p - lr * (np.sign(c) + weight_decay * p)
        m = beta2 * m + (1 - beta2) * g


def adabelief(p, lr, beta1, beta2, eps, weight_decay):
    """Zhuang et al. 2020, algorithm 2; weight_decay is an L2 penalty."""
    m, s, t = np.zeros_like(p), np.zeros_like(p), 0
    while True:
        g = yield p
        t += 1
        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
        m_hat, s_hat = m / (1 - beta1**t), s / (1 - beta2**t)
        p = p - lr * m_hat / (np.sqrt(s_hat) + eps)


RULES = {
    "sgd": by_torch(torch.optim.SGD),
    "momentum": by_torch(torch.optim.SGD),
    "nesterov": by_torch(torch.optim.SGD),
    "adagrad": by_torch(torch.optim.Adagrad),
    "rmsprop": by_torch(torch.optim.RMSprop, decay="alpha"),
    "adadelta": by_torch(torch.optim.Adadelta, decay="rho"),
    "adam": by_torch(torch.optim.Adam),
    "adamw": by_torch(torch.optim.AdamW),
    "amsgrad": by_torch(torch.optim.Adam),
    "adamax": by_torch(torch.optim.Adamax),
    "nadam": by_torch(torch.optim.NAdam),
    "radam": by_torch(torch.optim.RAdam),
    "adam_book": by_formula(adam_of_the_book),
    "lion": by_formula(lion),
    "adabelief": by_formula(adabelief),
}


def optimizers(case):
    runs = []
    for run in case["runs"]:
        step = RULES[run["optimizer"]](case["p0"], run["hyper"])
        runs.append({"params": [step(grad) for grad in case["grads"]]})
    return {"runs": runs}


def trajectory(case):
    """Down x²/20 + y²."""
    runs = []
    for run in case["runs"]:
        step, path = RULES[run["optimizer"]](case["start"], run["hyper"]), [case["start"]]
        for _ in range(UPDATES):
            point = leaf(path[-1])
            height = point[0] ** 2 / 20 + point[1] ** 2
            path.append(step(backward(height, None, grad=point)["grad"].tolist()))
        runs.append({"xy": path[1:]})
    return {"runs": runs}


def momentum_lr_change(case):
    p = torch.nn.Parameter(numbers(case["p0"]))
    optimizer = torch.optim.SGD([p], momentum=case["momentum"], foreach=False)
    q, v = np.array(case["p0"]), np.zeros(len(case["p0"]))
    path, path_of_the_book = [], []
    for lr, grad in zip(case["lrs"], case["grads"], strict=True):
        optimizer.param_groups[0]["lr"], p.grad = lr, numbers(grad)
        optimizer.step()
        path.append(p.tolist())
        v = case["momentum"] * v - lr * np.array(grad)  # common/optimizer.py, Momentum
        q = q + v
        path_of_the_book.append(q.tolist())
    return {"params_torch": path, "params_book": path_of_the_book}


def with_grads(grads):
    params = [torch.nn.Parameter(torch.zeros_like(numbers(grad))) for grad in grads]
    for param, grad in zip(params, grads):
        param.grad = numbers(grad)
    return params


def clip(case):
    runs = []
    for run in case["runs"]:
        params = with_grads(case["grads"])
        norm = torch.nn.utils.clip_grad_norm_(params, run["max_norm"], foreach=False)
        factor = min(1.0, run["max_norm"] / np.sqrt(sum(np.sum(np.array(grad) ** 2) for grad in case["grads"])))
        exact = [np.array(grad) * factor for grad in case["grads"]]
        runs.append({"total_norm": norm, "torch": [param.grad for param in params], "exact": exact})
    params = with_grads(case["grads"])
    torch.nn.utils.clip_grad_value_(params, case["value_clip"], foreach=False)
    sgd_momentum = {"params_torch": clipped_momentum(**case["sgd_momentum"])}
    return {"runs": runs, "value_clipped": [param.grad for param in params], "sgd_momentum": sgd_momentum}


def clipped_momentum(p0, grads, lr, momentum, max_norm):
    p = torch.nn.Parameter(numbers(p0))
    optimizer = torch.optim.SGD([p], lr, momentum, foreach=False)
    path = []
    for grad in grads:
        p.grad = numbers(grad)
        torch.nn.utils.clip_grad_norm_([p], max_norm, foreach=False)
        optimizer.step()
        path.append(p.tolist())
    return path


# Learning rates


def warmup_cosine(optimizer, warmup_steps, start_factor, T_max, eta_min):
    rise = lr_scheduler.LinearLR(optimizer, start_factor, total_iters=warmup_steps)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max, eta_min)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], [warmup_steps])


def warmup_cosine_k1(optimizer, warmup_steps, T_max, eta_min):
    """A warm-up that starts at lr / warmup_steps and has its full rate in its last step."""
    rise = lr_scheduler.LambdaLR(optimizer, lambda k: min(k + 1, warmup_steps) / warmup_steps)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max, eta_min)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], [warmup_steps])


def one_cycle(optimizer, steps, warmup, rise, fall):
    lr = optimizer.param_groups[0]["lr"]
    return lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=warmup, div_factor=rise, final_div_factor=fall
    )


def cosine_restarts(optimizer, period, growth, eta_min):
    return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, period, growth, eta_min)


SCHEDULES = {
    "step": lr_scheduler.StepLR,
    "exponential": lr_scheduler.ExponentialLR,
    "cosine": lr_scheduler.CosineAnnealingLR,
    "cosine_past_end": lr_scheduler.CosineAnnealingLR,
    "warmup_cosine": warmup_cosine,
    "warmup_cosine_k1": warmup_cosine_k1,
    "one_cycle": one_cycle,
    "cosine_restarts": cosine_restarts,
}


def rates(run, make, heard):
    """The rate of each step, after which the schedule hears what `heard` has for it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(numbers([0.0]))], lr=run["lr"])
    schedule, values = make(optimizer, **run["hyper"]), []
    for arguments in heard:
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(*arguments)
    return {"values": [float(value) for value in values]}


def schedules(case):
    runs = []
    for run in case["runs"]:
        steps = run["hyper"].get("steps", STEPS.get(run["schedule"], OTHER_STEPS))
        runs.append(rates(run, SCHEDULES[run["schedule"]], [()] * steps))
    return {"runs": runs}


def plateaus(case):
    def make(optimizer, **hyper):
        return lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **hyper)

    return {"runs": [rates(run, make, [(loss,) for loss in case["losses"]]) for run in case["runs"]]}


PROGRAMS = {
    "affine": affine,
    "relu": lambda case: activation(case, torch.relu),
    "sigmoid": lambda case: activation(case, torch.sigmoid),
    "tanh": lambda case: activation(case, torch.tanh),
    "activation": lambda case: activation(case, lambda x: getattr(functional, case["function"])(x, **case["hyper"])),
    "prelu": prelu,
    "batchnorm": batchnorm,
    "layernorm": layernorm,
    "softmax_ce": softmax_ce,
    "mse": mse,
    "dropout": dropout,
    "net": net,
    "optimizers": optimizers,
    "momentum_lr_change": momentum_lr_change,
    "clip": clip,
    "trajectory": trajectory,
    "schedules": schedules,
    "plateaus": plateaus,
}


# Files


def drawn(name):
    """Inputs whose generator is known."""
    if name == "optimizers_more":
        # Gradients of very different sizes, one of them always zero, one zero now and then.
        rng = np.random.default_rng(7)
        p0 = rng.normal(size=6)
        grads = rng.normal(size=(12, 6)) * np.array([1.0, 1e-3, 30.0, 0.1, 1.0, 0.0])
        grads[::3, 4] = 0.0
        return {"p0": p0.tolist(), "grads": grads.tolist()}
    if name == "plateaus":
        rng = np.random.default_rng(11)
        return {"losses": (2.0 * np.exp(-np.arange(40) / 6.0) + 0.3 + 0.05 * rng.normal(size=40)).tolist()}
    return {}


def picked(value, fields):
    """Of an object, or of each in a list, the fields named here; the others are not passed on."""
    if isinstance(value, list):
        return [picked(item, fields) for item in value]
    found = {}
    for field in fields:
        name, inner = field if isinstance(field, tuple) else (field, None)
        if name in value:
            found[name] = picked(value[name], inner) if inner else value[name]
    return found


def joined(inputs, outputs):
    if isinstance(inputs, list):
        return [joined(*pair) for pair in zip(inputs, outputs, strict=True)]
    return inputs | {name: joined(inputs[name], value) if name in inputs else value for name, value in outputs.items()}


def plain(value):
    """Lists and floats in place of arrays."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) else value


def made(case):
    inputs = picked(case, INPUTS[case["kind"]]) | drawn(case["name"])
    outputs = plain(PROGRAMS[case["kind"]](inputs))
    return {"kind": case["kind"], "name": case["name"], **joined(inputs, outputs)}


def read(file):
    return json.loads((HERE / f"{file}.json").read_text())["cases"]


def write(file, cases):
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / f"{file}.json").write_text('{"cases": [\n' + lines + "\n]}\n")


# Comparison


def tolerance(case, field):
    """Adam makes whole steps of the rounding in the gradient of a bias that feeds a BatchNorm, which is really 0."""
    loose = ["adam5.running.mean", "adam5.eval_logits_unbiased", "adam5.eval_logits_biased"]
    loose += [f"adam5.params.b{k}" for k in range(1, len(case.get("sizes", [])) - 1)]
    return 1e-8 if case.get("batchnorm") and field in loose else 1e-13


def pairs(old, new, path):
    """(where, old, new) for every computed number; the inputs are in both cases the same object."""
    if old is new:
        return
    if isinstance(new, dict) and isinstance(old, dict):
        for name in old | new:
            yield from pairs(old.get(name), new.get(name), [*path, name])
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for place, pair in enumerate(zip(old, new)):
            yield from pairs(*pair, [*path, place])
    else:
        yield path, old, new


def group(path):
    """The field that a number is part of, of all runs and layers together."""
    return ".".join(part for part in path if isinstance(part, str) and not part.startswith("layer"))


def apart(old, new):
    """How far two numbers are apart, |old - new| / max(1, |new|); infinitely, where one is something else."""
    if old == new and type(old) is type(new):
        return 0.0
    if isinstance(old, float) and isinstance(new, float):
        distance = abs(old - new) / max(1.0, abs(new))
        return distance if np.isfinite(distance) else np.inf
    return np.inf


def compare(file, old, new):
    """Prints the largest difference in every field; gives what is too far apart."""
    failures, worst = [], {}
    for path, before, now in pairs(old, new, []):
        field, distance = group(path), apart(before, now)
        worst[field] = max(worst.get(field, 0.0), distance)
        if distance > tolerance(new, field):
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
            failures.append(f"{file}.json: {new['name']}{where} is {before}, computed {now}")
    for field, distance in worst.items():
        print(f"{file:16} {new['name']:18} {field:28} {distance:8.1e} of {tolerance(new, field):.0e}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    failures = []
    for file in FILES:
        old = read(file)
        new = [made(case) for case in old]
        if check:
            for pair in zip(old, new):
                failures += compare(file, *pair)
        else:
            write(file, new)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
