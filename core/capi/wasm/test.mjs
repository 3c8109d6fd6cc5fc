// What relfisher.mjs must refuse, and what must come through: node test.mjs MODULE HEADER
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { load, OTHER, PLAIN, Relfisher, RelfisherError } from "./relfisher.mjs";

if (process.argv.length !== 4) {
    console.error("usage: node test.mjs relfisher.wasm relfisher.h");
    process.exit(2);
}
const bytes = await readFile(process.argv[2]);
const header = await readFile(process.argv[3], "utf8");
const refused = (of, type, ...words) => {
    assert.throws(of, (error) => {
        assert.ok(error instanceof type, `${error.constructor.name}: ${error.message}`);
        for (const word of words) assert.ok(error.message.includes(word), `${error.message}: no ${word}`);
        return true;
    });
};

/** A system of two equations, and a call that solves it. */
function system(rf, dtype = "f64") {
    const l = rf.matrix(rf.numbers(dtype, [2, 0, 1, 2]), 2, 2);
    const v = rf.numbers(dtype, [4, 6]);
    return { l, v, view: rf.matrix(v, 2, 1) };
}

const tests = {
    async arguments() {
        const rf = await load(bytes);
        const { l, v, view } = system(rf);
        const name = "rf_cholesky_solve_f64";
        refused(() => rf.call(name, view), TypeError, name, "takes 2", "1 came");
        refused(() => rf.call(name, view, l, 0), TypeError, name, "takes 2", "3 came");
        refused(() => rf.call(name, view, null), RangeError, name, "argument 2", "null");
        refused(() => rf.call(name, view, undefined), RangeError, name, "argument 2", "undefined");
        // The damping left out: the address of the error was taken for it.
        refused(() => rf.call("rf_cholesky_f64", l), TypeError, "rf_cholesky_f64 takes 2", "1 came");
        refused(() => rf.call("rf_cholesky_f64", l, l), TypeError, "argument 2", "not a number");
        refused(() => rf.call("rf_choleski_f64", l, 0), TypeError, "rf_choleski_f64", "no function");
        refused(() => rf.call("toString", l, 0), TypeError, "toString", "no function");
        refused(() => rf.call("rf_view_f32", 16, 2, 2), TypeError, "rf_view_f32", "no function");
        refused(() => rf.call("memory", l, 0), TypeError, "memory", "no function");
        refused(() => rf.query("rf_eigh_workspace"), TypeError, "rf_eigh_workspace", "no function");
        refused(() => rf.query("rf_eigh_workspace_len"), TypeError, "takes 1", "0 came");
        refused(() => rf.call("rf_eigh_workspace_len", 2), TypeError, "use query");
        refused(() => rf.query(name, view, l), TypeError, "use call");
        assert.deepEqual([...v.read()], [4, 6], "a refused call changed its output");
        rf.call(name, view, l);
        assert.deepEqual([...v.read()], solved);
        for (const found of Object.keys(rf.parameters)) {
            // What the module's sections say is what the engine says.
            assert.equal(rf.parameters[found].length, rf.exports[found].length, found);
        }
        assert.ok(Object.keys(rf.parameters).length > 300);
    },

    async types() {
        const rf = await load(bytes);
        const [single, double] = [system(rf, "f32"), system(rf, "f64")];
        const name = "rf_cholesky_solve_f32";
        refused(() => rf.call(name, single.view, double.l), TypeError, name, "argument 2", "f64", "f32");
        refused(() => rf.call(name, double.view, single.l), TypeError, "argument 1");
        refused(() => rf.call("rf_cholesky_solve_f64", single.view, double.l), TypeError, "argument 1");
        const words = rf.matrix(rf.numbers("u32", 4), 2, 2);
        refused(() => rf.call(name, single.view, words), TypeError, "argument 2", "u32");
        refused(() => rf.call("rf_select_largest_f32", rf.vector(single.v), rf.numbers("u32", 1),
            rf.vector(single.v)), TypeError, "argument 1", "f32", "u32");
        // Within structs, transposed, and raw numbers too.
        const metric = rf.struct(0, single.l, double.l, 2, { f32: 1 });
        const work = rf.vector(rf.numbers("f32", 64));
        refused(() => rf.call("rf_metric_diagonal_f32", single.view, metric), TypeError, "argument 2", "f64");
        const kinds = rf.struct(0, single.l, words, 2, { f32: 1 });
        refused(() => rf.call("rf_metric_diagonal_f32", single.view, kinds), TypeError, "argument 2", "u32");
        const turned = rf.transposed(double.v, 2, 1);
        refused(() => rf.call("rf_gemm_f32", single.view, single.l, turned, 1, 0), TypeError, "argument 3");
        refused(() => rf.call("rf_gram_f32", single.l, single.l, rf.vector(double.v), 1, 0, work), TypeError);
        const sgd = rf.struct({ f64: 1 }, { f64: 0 }, { f64: 0 }, 1);
        const v = rf.vector(single.v);
        refused(() => rf.call("rf_sgd_step_f32", v, v, v, sgd), TypeError, "argument 4", "f64");
        refused(() => rf.numbers("f16", 2), TypeError, "f16", "f32,f64,u32");
        refused(() => rf.struct(0, undefined), TypeError, "undefined");
        // Numbers for views, views for numbers, a vector for a matrix.
        refused(() => rf.call(name, single.v, single.l), TypeError, "argument 1", "matrix or vector");
        const trace = "rf_kron_trace_f32";
        refused(() => rf.call(trace, single.view, single.l, single.l), TypeError, "argument 1", "pass numbers");
        for (const vector of [rf.vector(single.v), rf.vector()]) {
            refused(() => rf.call("rf_packed_cholesky_solve_f32", vector, vector), RelfisherError);
        }
    },

    /** The positions of OTHER and PLAIN are those of the header. */
    async header() {
        const text = header.replace(/\/\/.*/g, "").replace(/\/\*[^]*?\*\//g, "");
        const rf = await load(bytes), found = {}, plain = [];
        for (const [, base, list] of text.matchAll(/rf_(\w+)_f32\(([^)]*)\);/g)) {
            // Views are made by the glue.
            if (!rf.parameters[`rf_${base}_f32`]) continue;
            list.split(",").forEach((argument, k) => {
                if (/^\s*(?!const|rf_error)\w+ \*/.test(argument)) (plain[k] ??= []).push(base);
                if (/\bdouble \*|_f64\b|rf_mean_state|rf_determinantal_sums/.test(argument)) {
                    (found[base] ??= {})[k] = "f64";
                } else if (/\b(uint32_t|size_t) \*|rf_slice(_mut)?_(u32|size)\b/.test(argument)) {
                    (found[base] ??= {})[k] = "u32";
                }
            });
        }
        assert.deepEqual(OTHER, found);
        assert.deepEqual(PLAIN.map((names) => names.toSorted()), plain.map((names) => names.sort()));
    },

    async counts() {
        const rf = await load(bytes);
        const three = rf.numbers("f64", 3);
        for (const wrong of [2 ** 32, 2 ** 32 + 3, -1, 1.5, NaN, Infinity]) {
            refused(() => rf.matrix(three, wrong, 1), RangeError, String(wrong));
            refused(() => rf.query("rf_eigh_workspace_len", wrong), RangeError, String(wrong));
            refused(() => rf.reserve(wrong), RangeError, String(wrong));
        }
        for (const wrong of [2 ** 32, -1, 1.5]) refused(() => rf.numbers("f64", wrong), RangeError);
        refused(() => rf.struct(2n ** 64n), RangeError, String(2n ** 64n));
        refused(() => rf.struct(-1n), RangeError);
        const schedule = rf.struct(0, 0n, 8n, { f64: 1 }, { f64: 1 });
        const rate = rf.numbers("f64", 1);
        refused(() => rf.call("rf_schedule_rate_f64", rate, 3, schedule), RangeError, "argument 2", "3");
        refused(() => rf.call("rf_schedule_rate_f64", rate, 2n ** 64n, schedule), RangeError, "argument 2");
        // The library's own refusals keep their status and words.
        refused(() => rf.call("rf_cholesky_f64", rf.matrix(three, 2, 2), 0), RelfisherError, "rf_cholesky_f64");
    },

    async memory() {
        const rf = await load(bytes);
        refused(() => rf.reserve(2 ** 32 - 1), RangeError, String(2 ** 32 - 1), "4 GiB");
        refused(() => rf.numbers("f64", 2 ** 29), RangeError, "4 GiB");
        refused(() => rf.release(rf.mark() + 16), RangeError, "release");
        refused(() => rf.release(0), RangeError, "release");
        refused(() => rf.release(undefined), RangeError, "release");
        const page = new WebAssembly.Memory({ initial: 1, maximum: 2 });
        const small = new Relfisher({ memory: page, __heap_base: { value: 1000 } }, {});
        small.reserve(100000);
        refused(() => small.reserve(40000), RangeError, "40000 bytes", "cannot grow");
        // What was refused has reserved nothing.
        assert.equal(small.reserve(16) + 16, small.mark());

        // Neither a call nor its failure needs memory that stays.
        const { l, view } = system(rf);
        const [mark, has] = [rf.mark(), rf.memory.buffer.byteLength];
        for (let k = 0; k < 100000; k++) rf.call("rf_cholesky_solve_f64", view, l);
        for (let k = 0; k < 100; k++) refused(() => rf.call("rf_cholesky_f64", view, 0), RelfisherError);
        assert.deepEqual([rf.mark(), rf.memory.buffer.byteLength], [mark, has]);
        // A step that releases its scratch keeps the memory as it is.
        for (let k = 0; k < 1000; k++) {
            const before = rf.mark();
            rf.numbers("f64", 10000);
            rf.release(before);
        }
        assert.ok(rf.memory.buffer.byteLength - has <= 80000 + 65536);
    },

    /** Addresses above 2 GiB are those of C, not negative ones. */
    async far() {
        const rf = await load(bytes);
        rf.reserve(2 ** 31);
        const { l, v, view } = system(rf);
        assert.ok(v.address > 2 ** 31);
        rf.call("rf_cholesky_solve_f64", view, l);
        assert.deepEqual([...v.read()], solved);
        refused(() => rf.call("rf_cholesky_f64", view, 0), RelfisherError, "rf_cholesky_f64");
    },
};

// L Lᵀ x = (4, 6) with L = (2, 0; 1, 2): y = (2, 2), x = (1/2, 1).
const solved = [0.5, 1];

for (const [name, test] of Object.entries(tests)) {
    await test();
    console.log(`${name}: pass`);
}
