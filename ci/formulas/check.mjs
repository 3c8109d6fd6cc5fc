// Sets every formula of the documentation with KaTeX, as the header of its pages has a browser do it.
// As a program: node check.mjs HEADER KATEX PAGES…
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [header, katexFolder, ...folders] = process.argv.slice(2);
const katex = createRequire(import.meta.url)(resolve(katexFolder));
const complaints = [];

// A browser refuses a file of KaTeX that has not the digest of the header.
const fetched = [...readFileSync(header, "utf8").matchAll(/npm\/katex@([\d.]+)\/([^"]+)" integrity="(sha384-[^"]+)"/g)];
if (fetched.length !== 3) complaints.push(`${header}: ${fetched.length} files of KaTeX with digest, not 3`);
for (const [, version, name, digest] of fetched) {
    const found = createHash("sha384").update(readFileSync(join(katexFolder, name))).digest("base64");
    if (version !== katex.version) complaints.push(`${header}: ${name} of ${version}, checked with ${katex.version}`);
    if (digest !== `sha384-${found}`) complaints.push(`${header}: ${name} has the digest sha384-${found}`);
}

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'", "#x27": "'", nbsp: "\u00a0" };
const unescape = (text) => text.replace(/&(#?\w+);/g, (all, name) => ENTITIES[name] ?? all);

/** The formulas of a page, and what is wrong with them: KaTeX looks into every text between two tags by
 * itself, but for code. */
function formulas(html) {
    const wrong = [];
    let count = 0;
    const prose = html.replace(/<!--[^]*?-->|<(script|noscript|style|pre|code|textarea|option)\b[^]*?<\/\1>/g, "<hr>");
    for (const text of prose.split(/<[^>]*>/).filter((text) => text.includes("$")).map(unescape)) {
        const rest = text.replace(/\$\$([^$]+)\$\$|\$([^$]+)\$/g, (_, display, inline) => {
            count += 1;
            try {
                const options = { displayMode: display !== undefined, throwOnError: true, strict: "error" };
                katex.renderToString(display ?? inline, options);
            } catch (error) {
                wrong.push(error.message);
            }
            return "";
        });
        if (rest.includes("$")) wrong.push(`a $ without its partner in the text ${JSON.stringify(text)}`);
    }
    return { count, wrong };
}

// What must be found: an open brace, an unknown command, a formula that Markdown cut into two.
for (const bad of ["$\\frac{1$", "$\\sech t$", "$$ a <em>b $$ c</em>"]) {
    if (formulas(`<p>${bad}</p>`).wrong.length === 0) complaints.push(`the wrong formula ${bad} was accepted`);
}

let [total, pages] = [0, 0];
for (const folder of folders) {
    for (const name of readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".html"))) {
        const { count, wrong } = formulas(readFileSync(join(folder, name), "utf8"));
        total += count;
        pages += 1;
        complaints.push(...wrong.map((what) => `${join(folder, name)}: ${what}`));
    }
}
if (total === 0) complaints.push("no page has a formula: this proves nothing");
console.log(`${total} formulas on ${pages} pages set by KaTeX ${katex.version}`);
complaints.forEach((line) => console.error(line));
process.exit(complaints.length > 0 ? 1 : 0);
