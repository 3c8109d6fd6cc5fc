// The tour of examples/tour_steps.h through the wasm module: the same steps, the same bits.
import { load } from "./relfisher.mjs";

const [N, D, M] = [12, 5, 3];

function generator() {
    let state = 1;
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

/** Runs the tour through a loaded module; `write` gets a line at a time. */
export function tour(rf, write) {
    for (const dtype of ["f32", "f64"]) {
        const mark = rf.mark();
        precision(rf, dtype, write);
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
