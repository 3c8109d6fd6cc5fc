// The natural gradient of one tanh neuron on two samples, as examples/hello.c: node hello.mjs MODULE
import { readFile } from "node:fs/promises";
import { load } from "./relfisher.mjs";

const rf = await load(await readFile(process.argv[2]));
const start = rf.mark();
const x = rf.matrix(rf.numbers("f32", [1, 1, -2, 1]), 2, 2); // [x, 1] in its rows
const gradient = rf.matrix(rf.numbers("f32", [0.5, 0.25]), 1, 2);
const t = rf.numbers("f32", [0.3, -1]), nu = rf.numbers("f32", 2), step = rf.numbers("f32", 2);

// The structs of the header, field by field: rf_response_f32 of tanh, then rf_metric_f32.
const response = rf.struct(0, rf.struct(1, { f32: 0 }), { f32: 0 }, { f32: 1 });
rf.call("rf_response_nu_f32", rf.vector(nu), rf.vector(t), response);
const metric = rf.struct(1, x, rf.matrix(nu, 2, 1), 1, { f32: 1 });

// step = (metric + 0.1 I)^-1 gradient
const work = rf.vector(rf.numbers("f32", rf.query("rf_metric_solve_workspace_len", 1, 2, 1, 2, 0, 1)));
rf.call("rf_metric_solve_f32", rf.matrix(step, 1, 2), metric, gradient, 0.1, 0, work);
const shown = Array.from(step.read(), (value) => value.toFixed(6));
console.log(`relfisher ${rf.version()}: step ${shown.join(" ")}`);
rf.release(start); // everything reserved since
