// The C interface of relfisher as a wasm module: memory, views and calls. Structs are passed by the
// address of a copy in the module's memory, as the C ABI of wasm says; a size_t is 32 bits.
//
// A wasm function takes what it is given: it fills missing arguments with 0, cuts numbers to 32 bits and
// knows no types behind an address. So everything is checked here first.

/** Status codes, as `rf_status` of relfisher.h. */
export const OK = 0;

/** Loads the module from its bytes (an ArrayBuffer or Uint8Array). */
export async function load(bytes) {
    const { instance } = await WebAssembly.instantiate(bytes, {});
    return new Relfisher(instance.exports, parameters(bytes));
}

/** A failed call: the library's status and message. */
export class RelfisherError extends Error {
    constructor(name, status, message) {
        super(`${name}: ${message}`);
        this.status = status;
    }
}

const SIZE = { f32: 4, f64: 8, u32: 4 };
const ARRAY = { f32: Float32Array, f64: Float64Array, u32: Uint32Array };
const PAGE = 65536;
/** What 32 bits address. */
const MOST = 2 ** 32;

/** Arguments behind an address that hold another type than the function's name says, by position. */
export const OTHER = {
    determinantal_add: { 1: "f64" },
    determinantal_finish: { 1: "f64", 2: "f64" },
    embed: { 1: "u32", 2: "f64" },
    lanczos_advance: { 0: "u32" },
    lanczos_restart: { 0: "u32" },
    lanczos_start: { 0: "u32" },
    laplace_effective_parameters: { 0: "f64" },
    laplace_log_determinant: { 0: "f64" },
    max_pool: { 1: "u32" },
    max_pool_backward_add: { 2: "u32" },
    prune_kron_compensate: { 1: "u32" },
    quasi_mean_add: { 0: "f64", 1: "u32" },
    select_largest: { 0: "u32", 1: "u32" },
    sparse_outer_mean: { 3: "u32", 4: "u32" },
    sparse_outer_pattern: { 0: "u32", 1: "u32", 5: "u32" },
    two_layer_lower_solve: { 1: "u32" },
    two_layer_solve: { 1: "u32" },
};
/** Arguments that are numbers themselves, or a struct that the function changes, where all others behind an
 * address are views or structs: the functions by position. */
export const PLAIN = [
    ["adapt_damping", "batch_statistics", "cosine", "ema_keep", "frobenius_add", "frobenius_compare",
        "inner_product", "kl_clip", "kron_cholesky_log_determinant", "kron_eigen_log_determinant",
        "kron_frobenius_inner", "kron_quadratic_form", "kron_split_damping", "kron_trace",
        "lanczos_advance", "lanczos_restart", "lanczos_start", "laplace_effective_parameters",
        "laplace_log_determinant", "log_determinant", "low_rank_log_determinant",
        "metric_quadratic_form", "norm_clip", "packed_log_determinant", "reduction_ratio",
        "schedule_rate", "subspace_overlap", "subspace_share", "two_layer_lower_quadratic_form",
        "two_layer_quadratic_form"],
    ["determinantal_add", "determinantal_finish", "frobenius_compare", "kron_split_damping",
        "lanczos_advance", "lanczos_restart", "lanczos_start", "prune_kron_compensate",
        "prune_kron_remove", "select_largest", "sparse_outer_pattern", "two_layer_lower_solve",
        "two_layer_solve"],
    ["determinantal_finish", "frobenius_compare", "prune_remove"],
];
/** Functions whose structs have indices beside their numbers. */
const INDEXED = /^rf_(sparse|quasi_mean)_/;

/** The types of the parameters of every exported function, from the module's sections. */
function parameters(module) {
    const bytes = module instanceof ArrayBuffer ? new Uint8Array(module) : module;
    let at = 8;
    const number = () => {
        for (let value = 0, unit = 1; ; unit *= 128) {
            const byte = bytes[at++];
            value += (byte & 127) * unit;
            if (byte < 128) return value;
        }
    };
    const list = (item) => Array.from({ length: number() }, item);
    const type = () => ({ 0x7f: "i32", 0x7e: "i64", 0x7d: "f32", 0x7c: "f64" })[bytes[at++]];
    const name = () => {
        const length = number();
        at += length;
        return new TextDecoder().decode(bytes.slice(at - length, at));
    };
    let types = [], functions = [];
    const found = {};
    while (at < bytes.length) {
        const section = bytes[at++], length = number(), end = at + length;
        if (section === 1) {
            types = list(() => {
                at += 1;
                const taken = list(type), returned = list(type);
                return returned.length === 1 && taken;
            });
        } else if (section === 3) {
            functions = list(number);
        } else if (section === 7) {
            list(() => {
                const [key, kind, index] = [name(), bytes[at++], number()];
                // Nothing is imported, so the functions are counted from the module's first. Those that
                // return a struct (rf_view_f32) are for C.
                if (kind === 0 && types[functions[index]]) found[key] = types[functions[index]];
            });
        }
        at = end;
    }
    return found;
}

/** A whole number that 32 bits hold. */
function count(value, what) {
    if (Number.isInteger(value) && value >= 0 && value < MOST) return value;
    throw new RangeError(`${what}: ${String(value)} is not a whole number from 0 to 2^32 - 1`);
}

/** A whole number that 64 bits hold. */
function long(value, what) {
    if (typeof value === "bigint" && value >= 0n && value < 2n ** 64n) return value;
    throw new RangeError(`${what}: ${String(value)} is not a bigint from 0n to 2n ** 64n - 1n`);
}

/** The types of the numbers that an argument holds or points to. */
function held(value) {
    if (value.dtype) return [value.dtype];
    if (value.fields) return value.fields.flatMap((field) => held(Object(field)));
    return ["f32", "f64"].filter((dtype) => dtype in value);
}

export class Relfisher {
    constructor(exports, parameters) {
        this.exports = exports;
        this.parameters = parameters;
        this.memory = exports.memory;
        // Everything from here on is free: the module itself allocates nothing.
        this.top = Math.ceil(exports.__heap_base.value / 16) * 16;
        // One error and one message serve every call.
        this.error = this.reserve(20);
        this.text = this.reserve(160);
        this.first = this.top;
    }

    /** Reserves bytes, aligned to 16; `release` frees everything after a mark. */
    reserve(bytes) {
        const start = this.top;
        const top = start + Math.ceil(count(bytes, "bytes") / 16) * 16;
        const has = this.memory.buffer.byteLength;
        const full = (why) =>
            new RangeError(`${bytes} bytes beside ${start} in use: ${why}; release what is done with`);
        if (top > MOST) throw full("a module addresses 4 GiB");
        if (top > has) {
            try {
                this.memory.grow(Math.ceil((top - has) / PAGE));
            } catch {
                throw full(`the memory of ${has} bytes cannot grow so far`);
            }
        }
        this.top = top;
        return start;
    }

    /** Where the memory in use ends. */
    mark() {
        return this.top;
    }

    /** Frees what was reserved since a mark: numbers, views and structs. */
    release(mark) {
        if (!(mark >= this.first && mark <= this.top)) {
            throw new RangeError(`release: ${String(mark)} is no mark from ${this.first} to ${this.top}`);
        }
        this.top = mark;
    }

    /** Numbers in the module's memory, of a type f32, f64 or u32; `read` copies them out, `write` in. */
    numbers(dtype, values) {
        if (!(dtype in SIZE)) throw new TypeError(`numbers: ${String(dtype)} is none of ${Object.keys(SIZE)}`);
        const len = count(typeof values === "number" ? values : values.length, "numbers");
        const bytes = len * SIZE[dtype];
        if (bytes >= MOST) throw new RangeError(`${bytes} bytes for ${len} numbers: a module addresses 4 GiB`);
        const address = this.reserve(bytes);
        const array = () => new ARRAY[dtype](this.memory.buffer, address, len);
        if (typeof values !== "number") array().set(values);
        return { dtype, address, len, read: () => array().slice(), write: (v) => array().set(v) };
    }

    /** A struct laid out as C does: numbers become 32-bit words, bigints 64-bit ones, `{f32: x}` and
     * `{f64: x}` floats, other structs are copied in. */
    struct(...fields) {
        const alignment = (field) => {
            if (field?.fields) return Math.max(...field.fields.map(alignment));
            return typeof field === "bigint" || "f64" in Object(field) ? 8 : 4;
        };
        const cells = (all) => all.reduce((sum, f) => sum + (f?.fields ? cells(f.fields) : 1), 0);
        const address = this.reserve(16 * cells(fields));
        const view = new DataView(this.memory.buffer);
        let at = address;
        const align = (to) => {
            at = Math.ceil(at / to) * to;
        };
        const put = (field) => {
            align(alignment(field));
            if (typeof field === "number") {
                view.setUint32(at, count(field, "struct"), true);
            } else if (typeof field === "bigint") {
                view.setBigUint64(at, long(field, "struct"), true);
            } else if ("f32" in Object(field)) {
                view.setFloat32(at, field.f32, true);
            } else if ("f64" in Object(field)) {
                view.setFloat64(at, field.f64, true);
            } else if (!field?.fields) {
                throw new TypeError(`struct: a field of type ${typeof field} is none of C`);
            } else {
                field.fields.forEach(put);
                align(alignment(field));
                return;
            }
            at += alignment(field);
        };
        fields.forEach(put);
        return { address, fields };
    }

    /** A view, which knows what it shows. */
    view({ dtype, address, len }, ...shape) {
        return { ...this.struct(address, len, ...shape), dtype };
    }

    /** A row-major matrix over numbers, as `rf_view`. */
    matrix(numbers, rows, cols) {
        return this.view(numbers, rows, cols, cols, 1);
    }

    /** The transpose of such a matrix. */
    transposed(numbers, rows, cols) {
        return this.view(numbers, cols, rows, 1, cols);
    }

    /** A vector over numbers, as `rf_vector`; without numbers an empty one. */
    vector(numbers) {
        const vector = numbers ? this.view(numbers) : this.struct(0, 0);
        // What the library would take for shape and strides if it were passed for a matrix: none that it
        // accepts.
        new Uint32Array(this.memory.buffer, vector.address + 8, 4).fill(MOST - 1);
        return vector;
    }

    /** Calls a function of numbers, `rf_…_f32` or `rf_…_f64`, without its last argument, the error, and
     * throws a RelfisherError when it fails. */
    call(name, ...values) {
        const [, base, dtype] = /^rf_(.*)_(f32|f64)$/.exec(name) ?? [];
        const plain = this.arguments(name, values, dtype ? 1 : 0);
        if (!dtype) throw new TypeError(`${name} reports no error: use query`);
        values.forEach((value, k) => {
            const wanted = OTHER[base]?.[k] ?? dtype;
            const found = held(Object(value)).find(
                (held) => held !== wanted && !(held === "u32" && !value.dtype && INDEXED.test(name)));
            const what = `${name}: argument ${k + 1}`;
            if (found) throw new TypeError(`${what} holds ${found} where ${wanted} is wanted`);
            const plain = PLAIN[k]?.includes(base);
            if (value.read && !plain) throw new TypeError(`${what} is numbers: pass a matrix or vector of them`);
            if (value.dtype && !value.read && plain) throw new TypeError(`${what} is a view: pass numbers`);
        });
        const status = this.exports[name](...plain, this.error);
        if (status !== OK) throw new RelfisherError(name, status, this.message());
    }

    /** Calls a function of counts that cannot fail, a `…_workspace_len` say, and returns what it does. */
    query(name, ...values) {
        const fails = /_f(32|64)$/.test(name);
        const plain = this.arguments(name, values, fails ? 1 : 0);
        if (fails) throw new TypeError(`${name} reports errors: use call`);
        return this.exports[name](...plain) >>> 0;
    }

    /** The values as the function takes them; `added` more follow. */
    arguments(name, values, added) {
        const types = Object.hasOwn(this.parameters, name) && this.parameters[name];
        if (!types) throw new TypeError(`${String(name)}: the module has no function of this name to call`);
        const takes = types.length - added;
        if (values.length !== takes) throw new TypeError(`${name} takes ${takes} arguments, ${values.length} came`);
        return values.map((value, k) => {
            const what = `${name}: argument ${k + 1}`;
            if (types[k] === "i32") return count(value?.address ?? value, what);
            if (types[k] === "i64") return long(value, what);
            if (typeof value === "number") return value;
            throw new TypeError(`${what}: ${String(value)} is not a number`);
        });
    }

    /** The message of the last call that failed. */
    message() {
        const capacity = 160;
        const len = this.exports.rf_error_message(this.text, this.error, capacity);
        const bytes = new Uint8Array(this.memory.buffer, this.text, Math.min(len, capacity - 1));
        return new TextDecoder().decode(bytes.slice());
    }

    /** The version of the library. */
    version() {
        const start = this.exports.rf_version();
        const bytes = new Uint8Array(this.memory.buffer, start, 32);
        return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
    }
}
