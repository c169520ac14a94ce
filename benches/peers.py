#!/usr/bin/env python3
"""The cases of train_step, inference and optimizer_step in PyTorch and JAX, to be set beside `cargo bench`.

    pip install torch jax numpy
    python benches/peers.py --threads 1 book_sgd tiny one_sample adam     # no names: every case
    python benches/peers.py --threads 1 --beside book_sgd                 # in turn with gradus
    python benches/peers.py --threads 2 --beside --replicas 2 book_sgd    # with two replicas of gradus

A line for each way to do it, medians of seven windows (--windows) in microseconds: PyTorch as it comes and with its fused
optimizer, JAX with one jitted call a step and with its whole loop compiled (scan). Float32; batches are ready before the
clock starts; networks and optimizers go back to the start before every window. With --beside, the bench of the same case
runs after every window; its median, and the median, lowest and highest ratio of a window to the bench after it, end the
line: what a busy machine does to one it does to both.
"""
import argparse, os, re, statistics, subprocess, sys, time

BOOK = [784, 100, 100, 100, 100, 10]
CASES = {  # widths, batch, optimizer, activation, extra
    "tiny": ([64, 32, 10], 32, "sgd", "relu", None),
    "book_sgd": (BOOK, 128, "sgd", "relu", None),
    "book_momentum": (BOOK, 128, "momentum", "relu", None),
    "book_adagrad": (BOOK, 128, "adagrad", "relu", None),
    "book_adam": (BOOK, 128, "adam", "relu", None),
    "book_bn": ([784] + [100] * 5 + [10], 100, "sgd", "relu", "bn"),
    "book_dropout": ([784] + [100] * 6 + [10], 100, "sgd", "relu", "dropout"),
    "book_sigmoid": (BOOK, 128, "sgd", "sigmoid", None),
    "book_tanh": (BOOK, 128, "sgd", "tanh", None),
    "large": ([784, 1024, 1024, 10], 256, "adam", "relu", None),
    "xl": ([2048, 4096, 4096, 1000], 512, "sgd", "relu", None),
}
INFERENCE = {"one_sample": 1, "ten_thousand": 10_000}
OPTIMIZERS = ["sgd", "momentum", "adagrad", "adam"]
RATE = {"sgd": 0.01, "momentum": 0.01, "adagrad": 0.01, "adam": 0.001}


def bench(name, replicas):
    """Microseconds a step of the bench of this case, with so many replicas."""
    name += f"_replicas{replicas}" if replicas > 1 else ""
    target, case = ("optimizers", f"optimizer_step/{name}/10000000") if name in OPTIMIZERS else \
        ("inference", f"inference/{name}") if name in INFERENCE else ("train_step", f"train_step/{name}")
    command = ["cargo", "bench", "--bench", target, "--", f"^{case}$", "--warm-up-time", "0.3", "--measurement-time", "1"]
    here = os.path.dirname(os.path.abspath(__file__))
    done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    value, unit = re.search(r"time:\s*\[\S+ \S+ (\S+) (\S+) ", done.stdout).groups()
    return float(value) * {"ns": 1e-3, "µs": 1, "ms": 1e3, "s": 1e6}[unit]


def windows(count, beside, run, reset=lambda: None, unit=1):
    """Microseconds a step: of `run(n)`, which takes n steps, a multiple of unit, and of what `beside` gives after each."""
    run(unit), run(unit)
    began = time.perf_counter(); run(unit); one = (time.perf_counter() - began) / unit
    n = max(1, round(0.4 / one / unit)) * unit
    theirs, ours = [], []
    for _ in range(count):
        reset(), run(min(n, 2 * unit))
        began = time.perf_counter(); run(n); theirs.append((time.perf_counter() - began) / n * 1e6)
        if beside:
            ours.append(beside())
    return theirs, ours


def data(widths, batch, np):
    rng = np.random.default_rng(1)
    count = min(200, max(4, 16_000_000 // (batch * widths[0])))
    x = rng.random((count, batch, widths[0]), dtype=np.float32)
    return x, rng.integers(0, widths[-1], (count, batch))


def weights(widths, activation, np):
    rng = np.random.default_rng(2)
    gain = 2.0 if activation == "relu" else 1.0
    return [((rng.standard_normal((i, o)) * (gain / i) ** 0.5).astype(np.float32), np.zeros(o, np.float32))
            for i, o in zip(widths, widths[1:])]


def torch_network(widths, activation, extra):
    from torch import nn
    act = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[activation]
    layers = []
    for k, (i, o) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(i, o))
        if k < len(widths) - 2:
            layers += [nn.BatchNorm1d(o)] * (extra == "bn") + [act()] + [nn.Dropout(0.2)] * (extra == "dropout")
    return nn.Sequential(*layers)


def torch_optimizer(params, name, **how):
    from torch import optim
    make = {"sgd": optim.SGD, "momentum": lambda p, **k: optim.SGD(p, momentum=0.9, **k),
            "adagrad": optim.Adagrad, "adam": optim.Adam}[name]
    return make(params, lr=RATE[name], **how)


def torch_cases(names, threads):
    import numpy as np, torch
    torch.set_num_threads(threads)
    for name in names:
        for variant, how in [("eager", {}), ("fused", {"fused": True})]:
            if name in CASES:
                widths, batch, optimizer, activation, extra = CASES[name]
                net = torch_network(widths, activation, extra)
                linear = [m for m in net if isinstance(m, torch.nn.Linear)]
                with torch.no_grad():
                    for m, (w, b) in zip(linear, weights(widths, activation, np)):
                        m.weight.copy_(torch.from_numpy(w.T.copy())); m.bias.copy_(torch.from_numpy(b))
                opt = torch_optimizer(net.parameters(), optimizer, **how)
                batches = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(*data(widths, batch, np))]
                start = {k: v.clone() for k, v in net.state_dict().items()}
                loss = torch.nn.functional.cross_entropy

                def run(n):
                    for i in range(n):
                        x, y = batches[i % len(batches)]
                        loss(net(x), y).backward()
                        opt.step()
                        opt.zero_grad(set_to_none=True)

                def reset():
                    net.load_state_dict(start)
                    opt.state.clear()

                yield name, "PyTorch " + variant, (run, reset)
            elif name in INFERENCE and variant == "eager":
                net = torch_network(BOOK, "relu", None).eval()
                x = torch.rand(INFERENCE[name], 784)

                def run(n):
                    with torch.inference_mode():
                        for _ in range(n):
                            net(x)

                yield name, "PyTorch", (run,)
            elif name in OPTIMIZERS:
                p = torch.nn.Parameter(torch.randn(10_000_000)); p.grad = torch.randn(10_000_000) * 0.01
                opt = torch_optimizer([p], name, **how)
                yield name, "PyTorch " + variant, (lambda n: [opt.step() for _ in range(n)],)


def jax_update(name, jnp, jax):
    rate = RATE[name]
    slots = {"sgd": 0, "momentum": 1, "adagrad": 1, "adam": 2}[name]
    each = jax.tree_util.tree_map

    def state(p):
        zeros = tuple(each(jnp.zeros_like, p) for _ in range(slots))
        return (*zeros, jnp.zeros(())) if name == "adam" else zeros

    def update(p, g, s):
        if name == "sgd":
            return each(lambda p, g: p - rate * g, p, g), s
        if name == "momentum":
            v = each(lambda v, g: 0.9 * v + g, s[0], g)
            return each(lambda p, v: p - rate * v, p, v), (v,)
        if name == "adagrad":
            h = each(lambda h, g: h + g * g, s[0], g)
            return each(lambda p, g, h: p - rate * g / (jnp.sqrt(h) + 1e-10), p, g, h), (h,)
        t = s[2] + 1
        m = each(lambda m, g: 0.9 * m + 0.1 * g, s[0], g)
        v = each(lambda v, g: 0.999 * v + 0.001 * g * g, s[1], g)
        a, root = rate / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        return each(lambda p, m, v: p - a * m / (jnp.sqrt(v) / root + 1e-8), p, m, v), (m, v, t)

    return state, update


def jax_cases(names):
    import numpy as np, jax, jax.numpy as jnp
    for name in names:
        if name in CASES:
            widths, batch, optimizer, activation, extra = CASES[name]
            act = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}[activation]
            xs, ys = map(jnp.asarray, data(widths, batch, np))
            net = [dict(w=w, b=b) | (dict(g=np.ones(len(b), np.float32), s=np.zeros(len(b), np.float32)) if extra == "bn" else {})
                   for w, b in weights(widths, activation, np)]
            state, update = jax_update(optimizer, jnp, jax)

            def loss(net, x, y, key):
                for k, layer in enumerate(net):
                    x = x @ layer["w"] + layer["b"]
                    if k == len(net) - 1:
                        break
                    if extra == "bn":
                        mean, var = x.mean(0), x.var(0)
                        x = (x - mean) * jax.lax.rsqrt(var + 1e-5) * layer["g"] + layer["s"]
                    x = act(x)
                    if extra == "dropout":
                        key, one = jax.random.split(key)
                        x = jnp.where(jax.random.bernoulli(one, 0.8, x.shape), x / 0.8, 0.0)
                return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()

            def step(carry, xy):
                net, s, key = carry
                key, one = jax.random.split(key) if extra == "dropout" else (key, key)
                g = jax.grad(loss)(net, *xy, one)
                net, s = update(net, g, s)
                return (net, s, key), None

            first = lambda: (jax.tree_util.tree_map(jnp.array, net), state(jax.tree_util.tree_map(jnp.array, net)), jax.random.key(0))
            call = jax.jit(lambda c, x, y: step(c, (x, y))[0], donate_argnums=0)
            scan = jax.jit(lambda c, xs, ys: jax.lax.scan(step, c, (xs, ys))[0], donate_argnums=0)
            carry, count = [first()], len(xs)
            batches = [(jnp.array(x), jnp.array(y)) for x, y in zip(xs, ys)]

            def reset():
                carry[0] = first()

            def run(n):
                c = carry[0]
                for i in range(n):
                    c = call(c, *batches[i % count])
                carry[0] = jax.block_until_ready(c)

            def whole(n):
                c = carry[0]
                for _ in range(n // count):
                    c = scan(c, xs, ys)
                carry[0] = jax.block_until_ready(c)

            yield name, "JAX jit", (run, reset)
            yield name, "JAX scan", (whole, reset, count)
        elif name in INFERENCE:
            net = [tuple(map(jnp.asarray, layer)) for layer in weights(BOOK, "relu", np)]
            x = jnp.asarray(np.random.default_rng(3).random((INFERENCE[name], 784), dtype=np.float32))

            @jax.jit
            def predict(net, x):
                for w, b in net[:-1]:
                    x = jax.nn.relu(x @ w + b)
                return x @ net[-1][0] + net[-1][1]

            yield name, "JAX jit", (lambda n: [predict(net, x).block_until_ready() for _ in range(n)],)
        elif name in OPTIMIZERS:
            state, update = jax_update(name, jnp, jax)
            rng = np.random.default_rng(4)
            g = jnp.asarray(rng.standard_normal(10_000_000, dtype=np.float32) * 0.01)
            carry = [(jnp.asarray(rng.standard_normal(10_000_000, dtype=np.float32)),)]
            carry[0] += (state(carry[0][0]),)
            call = jax.jit(lambda p, s, g: update(p, g, s), donate_argnums=(0, 1))

            def run(n):
                p, s = carry[0]
                for _ in range(n):
                    p, s = call(p, s, g)
                carry[0] = jax.block_until_ready((p, s))

            yield name, "JAX jit", (run,)


def main():
    every = [*CASES, *INFERENCE, *OPTIMIZERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(every))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--library", choices=["torch", "jax"], help="one of them alone (else each in a process of its own)")
    parser.add_argument("--windows", type=int, default=7, help="of some 0.4 seconds each")
    parser.add_argument("--beside", action="store_true", help="run the bench of each case in turn with it")
    parser.add_argument("--replicas", type=int, default=1, choices=[1, 2, 8], help="of gradus: book_sgd, _adam, _bn, _dropout")
    args = parser.parse_args()
    names = args.cases or every
    unknown = [name for name in names if name not in every]
    if unknown:
        parser.error(f"expected cases of {', '.join(every)}; found {', '.join(unknown)}")
    if args.library is None:
        for library in ["torch", "jax"]:
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--library", library], check=True)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-args.threads:]))
    os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if args.threads > 1 else 'false'}"
    cases = torch_cases(names, args.threads) if args.library == "torch" else jax_cases(names)
    for name, how, way in cases:
        beside = (lambda: bench(name, args.replicas)) if args.beside else None
        theirs, ours = windows(args.windows, beside, *way)
        line = f"{name:<14} {how:<14} {statistics.median(theirs):12.1f} us"
        if ours:
            ratios = sorted(a / b for a, b in zip(theirs, ours))
            line += f"{statistics.median(ours):12.1f} us {statistics.median(ratios):6.2f} x [{ratios[0]:.2f} to {ratios[-1]:.2f}]"
        print(line, flush=True)


if __name__ == "__main__":
    main()
