// The C interface of relfisher as a wasm module: memory, views and calls. Structs are passed by the
// address of a copy in the module's memory, as the C ABI of wasm says; a size_t is 32 bits.

/** Status codes, as `rf_status` of relfisher.h. */
export const OK = 0;

/** Loads the module from its bytes (an ArrayBuffer or Uint8Array). */
export async function load(bytes) {
    const { instance } = await WebAssembly.instantiate(bytes, {});
    return new Relfisher(instance.exports);
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

export class Relfisher {
    constructor(exports) {
        this.exports = exports;
        this.memory = exports.memory;
        // Everything from here on is free: the module itself allocates nothing.
        this.top = (exports.__heap_base.value + 15) & ~15;
    }

    /** Reserves bytes, aligned to 16; `release` frees everything after a mark. */
    reserve(bytes) {
        const start = this.top;
        this.top = (start + bytes + 15) & ~15;
        const missing = this.top - this.memory.buffer.byteLength;
        if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
        return start;
    }

    mark() {
        return this.top;
    }

    release(mark) {
        this.top = mark;
    }

    /** Numbers in the module's memory; `read` copies them out, `write` in. */
    numbers(dtype, values) {
        const len = typeof values === "number" ? values : values.length;
        const address = this.reserve(len * SIZE[dtype]);
        const array = () => new ARRAY[dtype](this.memory.buffer, address, len);
        if (typeof values !== "number") array().set(values);
        return { dtype, address, len, read: () => array().slice(), write: (v) => array().set(v) };
    }

    /** A struct laid out as C does: numbers become 32-bit words, bigints 64-bit ones, `{f32: x}` and
     * `{f64: x}` floats, other structs are copied in. */
    struct(...fields) {
        const alignment = (field) => {
            if (field.fields) return Math.max(...field.fields.map(alignment));
            return typeof field === "bigint" || "f64" in Object(field) ? 8 : 4;
        };
        const address = this.reserve(16 * (1 + fields.flatMap((f) => f.fields ?? f).length));
        const view = new DataView(this.memory.buffer);
        let at = address;
        const align = (to) => {
            at = Math.ceil(at / to) * to;
        };
        const put = (field) => {
            align(alignment(field));
            if (typeof field === "number") {
                view.setUint32(at, field, true);
            } else if (typeof field === "bigint") {
                view.setBigUint64(at, field, true);
            } else if ("f32" in field) {
                view.setFloat32(at, field.f32, true);
            } else if ("f64" in field) {
                view.setFloat64(at, field.f64, true);
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

    /** A row-major matrix over numbers, as `rf_view`. */
    matrix(numbers, rows, cols) {
        return this.struct(numbers.address, numbers.len, rows, cols, cols, 1);
    }

    /** The transpose of such a matrix. */
    transposed(numbers, rows, cols) {
        return this.struct(numbers.address, numbers.len, cols, rows, 1, cols);
    }

    /** A vector over numbers, as `rf_vector`; without numbers an empty one. */
    vector(numbers) {
        return numbers ? this.struct(numbers.address, numbers.len) : this.struct(0, 0);
    }

    /** Calls a function and throws a RelfisherError when it fails. */
    call(name, ...values) {
        const error = this.reserve(20);
        const plain = values.map((value) => value?.address ?? value);
        const status = this.exports[name](...plain, error);
        if (status !== OK) throw new RelfisherError(name, status, this.message(error));
    }

    /** The message of an `rf_error` at an address. */
    message(error) {
        const capacity = 160;
        const text = this.reserve(capacity);
        const len = this.exports.rf_error_message(text, error, capacity);
        const bytes = new Uint8Array(this.memory.buffer, text, Math.min(len, capacity - 1));
        return new TextDecoder().decode(bytes.slice());
    }

    /** The version of the library. */
    version() {
        const start = this.exports.rf_version();
        const bytes = new Uint8Array(this.memory.buffer, start, 32);
        return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
    }
}
