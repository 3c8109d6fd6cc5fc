// The tour of examples/tour_steps.h and tour_structures.h through the wasm module: the same steps, the same bits.
import { load } from "./relfisher.mjs";

const [N, D, M] = [12, 5, 3];

function generator(state = 1) {
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return ((state >>> 20) - 2048) / 1024;
    };
}

function hex(bytes) {
    return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function show(write, step, array) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let hash = 0xcbf29ce484222325n;
    for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
    const first = hex(bytes.slice(0, array.BYTES_PER_ELEMENT).reverse());
    write(`${step} ${hash.toString(16).padStart(16, "0")} ${first}`);
}

function precision(rf, dtype, write) {
    const f = (name) => `rf_${name}_${dtype}`;
    const real = (x) => ({ [dtype]: x });
    const numbers = (values) => rf.numbers(dtype, values);
    const print = (step, n) => show(write, `${step}.${dtype}`, n.read());
    const next = generator();

    const xs = [], etas = [];
    for (let i = 0; i < N; i++) {
        for (let j = 0; j < D; j++) xs.push(j + 1 < D ? next() : 1);
        for (let j = 0; j < M; j++) etas.push((i + j) % M === 0 ? 0.5 : 0.25);
    }
    const inputs = (len) => Array.from({ length: len }, next);
    const x = numbers(xs), eta = numbers(etas);
    const w = numbers(inputs(M * D)), g = numbers(inputs(M * D)), delta = numbers(inputs(N * M));
    const [t, nu, out, a, b] = [N * M, N * M, M * D, D * D, M * M].map(numbers);
    const [a2, b2, aValues, bValues] = [D * D, M * M, D, M].map(numbers);
    const work = rf.vector(numbers(4096));
    const none = rf.vector();

    // Metrics.
    const xView = rf.matrix(x, N, D), gView = rf.matrix(g, M, D), outView = rf.matrix(out, M, D);
    rf.call(f("gemm"), rf.matrix(t, N, M), xView, rf.transposed(w, M, D), 1, 0);
    print("gemm", t);
    for (const [kind, name] of [[4, "elu"], [3, "relu"], [2, "sigm"], [1, "tanh"]]) {
        const response = rf.struct(0, rf.struct(kind, real(0.125)), real(0.5), real(1));
        rf.call(f("response_nu"), rf.vector(nu), rf.vector(t), response);
        print(`nu_${name}`, nu);
    }
    for (const [kind, weights, name] of [[1, nu, "solve"], [2, eta, "softmax"]]) {
        const metric = rf.struct(kind, xView, rf.matrix(weights, N, M), M, real(1));
        ["auto", "block", "sample", "cg", "kronecker"].forEach((way, route) => {
            rf.call(f("metric_solve"), outView, metric, gView, 0.0625, route, work);
            print(`${name}_${way}`, out);
        });
        const form = numbers(1);
        rf.call(f("metric_quadratic_form"), form, metric, gView, work);
        print("quadratic_form", form);
    }

    // K-FAC.
    const aView = rf.matrix(a, D, D), bView = rf.matrix(b, M, M);
    const a2View = rf.matrix(a2, D, D), b2View = rf.matrix(b2, M, M);
    rf.call(f("gram"), aView, xView, none, 1 / N, 0, work);
    rf.call(f("gram"), bView, rf.matrix(delta, N, M), none, 1 / N, 0, work);
    print("gram", a);
    const split = numbers(2);
    rf.call(f("kron_split_damping"), split.address, split.address + split.read().BYTES_PER_ELEMENT,
        bView, aView, 0.0625, 1);
    print("split_damping", split);
    const restore = () => {
        a2.write(a.read());
        b2.write(b.read());
        out.write(g.read());
    };
    restore();
    rf.call(f("kron_cholesky_factor"), b2View, a2View, ...split.read());
    rf.call(f("kron_cholesky_solve"), outView, b2View, a2View);
    print("kron_cholesky", out);
    restore();
    rf.call(f("kron_eigen_factor"), b2View, rf.vector(bValues), a2View, rf.vector(aValues), work);
    print("eigenvalues", aValues);
    for (const [power, name] of [[1, "inverse"], [0.5, "root"]]) {
        out.write(g.read());
        rf.call(f("kron_eigen_power"), outView, b2View, rf.vector(bValues), a2View,
            rf.vector(aValues), power, 0.0625, work);
        print(`kron_eigen_${name}`, out);
    }
    rf.call(f("newton_schulz"), a2View, aView, 0.0625, 1, work);
    print("newton_schulz", a2);
    a2.write(a.read());
    rf.call(f("spd_inverse"), a2View, 0.0625, work);
    print("spd_inverse", a2);

    // Step rules.
    const [velocity, second] = [M * D, M * D].map(numbers);
    const clear = () => [velocity, second].forEach((v) => v.write(new Array(M * D).fill(0)));
    const sgd = rf.struct(real(0.125), real(0.75), real(0.0625), 1);
    clear();
    out.write(w.read());
    for (let i = 0; i < 3; i++) {
        rf.call(f("sgd_step"), rf.vector(out), rf.vector(velocity), rf.vector(g), sgd);
    }
    print("sgd", out);
    const adam = rf.struct(...[0.125, 0.875, 0.9375, 0.0009765625, 0.0625].map(real), 1);
    clear();
    for (let i = 0n; i < 3n; i++) {
        rf.call(f("adam_step"), rf.vector(out), rf.vector(velocity), rf.vector(second),
            rf.vector(g), i, adam);
    }
    print("adam", out);
    const schedule = rf.struct(3, 1n, 8n, real(1), real(0.125));
    const size = dtype === "f32" ? 4 : 8, rates = numbers(4);
    for (let i = 0; i < 4; i++) {
        rf.call(f("schedule_rate"), rates.address + i * size, BigInt(2 * i), schedule);
    }
    print("schedule", rates);

    // A call that must fail, and what it says.
    a.write([-1, ...a.read().slice(1)]);
    try {
        rf.call(f("cholesky"), aView, 0);
        throw new Error("an indefinite matrix was accepted");
    } catch (error) {
        if (error.status !== 5) throw error;
        write(error.message.replace(/^[^:]*: /, ""));
    }
}

function structures(rf, dtype, write) {
    const f = (name) => `rf_${name}_${dtype}`;
    const real = (x) => ({ [dtype]: x });
    const numbers = (values) => rf.numbers(dtype, values);
    const print = (step, n) => show(write, `${step}.${dtype}`, n.read ? n.read() : n);
    const next = generator(7);
    const [K, ALL] = [M + 1, M * D + M * (M + 1)];

    const xs = [], hs = [], etas = [];
    for (let i = 0; i < N; i++) {
        for (let j = 0; j < D; j++) xs.push(j + 1 < D ? next() : 1);
        for (let j = 0; j < K; j++) hs.push(j + 1 < K ? next() : 1);
        for (let j = 0; j < M; j++) etas.push((i + j) % M === 0 ? 0.5 : 0.25);
    }
    const inputs = (len) => numbers(Array.from({ length: len }, next));
    const [x, h, eta] = [xs, hs, etas].map(numbers);
    const [slope, delta, c, g, image] = [N * M, N * M, M * K, ALL, 24].map(inputs);
    const out = numbers(ALL), work = rf.vector(numbers(4096)), none = rf.vector();
    const part = (n, start, len) => ({ ...n, address: n.address + start * size, len });
    const size = dtype === "f32" ? 4 : 8;
    const xView = rf.matrix(x, N, D), etaView = rf.matrix(eta, N, M), deltaView = rf.matrix(delta, N, M);

    // Two layers.
    const upper = rf.struct(2, rf.matrix(h, N, K), etaView, M, real(1));
    const metric = rf.struct(xView, rf.matrix(slope, N, M), rf.matrix(c, M, K), upper);
    const both = (n) => [rf.matrix(part(n, 0, M * D), M, D), rf.matrix(part(n, M * D, M * K), M, K)];
    rf.call(f("two_layer_multiply"), ...both(out), metric, ...both(g), work);
    print("two_layer_multiply", out);
    const count = rf.numbers("u32", 1);
    rf.call(f("two_layer_solve"), rf.vector(out), count, metric, rf.vector(g), 0.0625, 0.0009765625, 0,
        work);
    print("two_layer_solve", out);

    // Exact blocks, and the space of the samples.
    const packed = numbers(N * 6), block = numbers((M * D) ** 2), gram = numbers(N * N);
    rf.call(f("loss_hessian_packed"), rf.matrix(packed, N, 6), etaView, rf.struct(0, real(1)));
    rf.call(f("exact_block"), rf.matrix(block, M * D, M * D), rf.matrix(packed, N, 6), xView, 1 / N, work);
    print("exact_block", block);
    rf.call(f("khatri_rao_gram"), rf.matrix(gram, N, N), deltaView, xView, 0, work);
    print("khatri_rao_gram", gram);

    // Windows.
    const window = rf.struct(2, 4, 3, 3, 3, 1, 1, 1, 1, 1, 1);
    const patches = numbers(12 * 19), pooled = numbers(24), argmax = rf.numbers("u32", 24);
    rf.call(f("unfold"), rf.matrix(patches, 12, 19), rf.vector(image), window, 0, 1, 0, 1);
    print("unfold", patches);
    rf.call(f("max_pool"), rf.vector(pooled), rf.vector(argmax), rf.vector(image), window);
    print("max_pool", pooled);

    // A sparse metric of two gradients, and the embedding of the second.
    const zeros = new Array(M * D).fill(0), keep = 4, psi = numbers(keep);
    const state = rf.struct(...["f64", "f64", "u32"].map((t) => rf.vector(rf.numbers(t, zeros))));
    const indices = rf.numbers("u32", keep), root = rf.numbers("f64", M * D);
    for (let i = 0; i < 2; i++) {
        const gradient = g.read().slice(i * K, i * K + M * D);
        rf.call(f("select_largest"), rf.vector(indices), count, rf.vector(part(g, i * K, M * D)));
        psi.write(Array.from(indices.read(), (j) => gradient[j]));
        rf.call(f("quasi_mean_add"), state, rf.vector(indices), rf.vector(psi), -1);
    }
    rf.call("rf_quasi_mean_root_f64", rf.vector(root), state, 2, -1);
    rf.call(f("embed"), rf.vector(psi), rf.vector(indices), rf.vector(root), 0.0625);
    print("embed", psi);

    // A layer without every third weight, and the posterior around it.
    const a = numbers(D * D), b = numbers(M * M), w = numbers(g.read().slice(0, M * D));
    rf.call(f("gram"), rf.matrix(a, D, D), xView, none, 1 / N, 0, work);
    rf.call(f("gram"), rf.matrix(b, M, M), deltaView, none, 1 / N, 0, work);
    const kept = numbers(Array.from(zeros, (_, i) => Number(i % 3 !== 0)));
    rf.call(f("prune_kron_compensate"), rf.matrix(w, M, D), count, rf.matrix(kept, M, D),
        rf.matrix(b, M, M), rf.matrix(a, D, D), 0.0625, 0, 0, work);
    print("prune_kron_compensate", w);
    const variances = numbers(N * M);
    rf.call(f("laplace_variances"), rf.vector(variances), rf.vector(eta), 100, 0.5);
    print("laplace_variances", variances);

    // A mini-batch whose mean gradient is that of G.
    const [norms, products, noise] = [N, N, 8].map(numbers);
    rf.call(f("outer_square_norms"), rf.vector(norms), deltaView, xView, 0);
    rf.call(f("khatri_rao_apply"), rf.vector(products), deltaView, xView,
        rf.matrix(part(g, 0, M * D), M, D), 0, work);
    rf.call(f("batch_statistics"), noise, rf.vector(norms), rf.vector(products), 4);
    print("batch_statistics", noise.read().slice(0, 6));
}

/** Runs the tour through a loaded module; `write` gets a line at a time. */
export function tour(rf, write) {
    for (const dtype of ["f32", "f64"]) {
        const mark = rf.mark();
        precision(rf, dtype, write);
        structures(rf, dtype, write);
        rf.release(mark);
    }
}

// As a program: node tour.mjs MODULE
if (typeof process !== "undefined" && process.argv[1]?.endsWith("tour.mjs")) {
    const { readFile } = await import("node:fs/promises");
    if (process.argv.length !== 3) {
        console.error("usage: node tour.mjs relfisher.wasm");
        process.exit(2);
    }
    const rf = await load(await readFile(process.argv[2]));
    tour(rf, (line) => console.log(line));
}
