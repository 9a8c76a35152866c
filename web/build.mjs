// Builds the join page into the Python package, from where the server serves it and the wheel carries it.
//   node build.mjs           the page, into ../python/plenary/join_page
//   node build.mjs --tests   the tests of its pure parts, into .tests, for `node --test`
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = "../python/plenary/join_page";
/** Of all that a browser fetches, compressed: the page opens at once on a phone's network. */
const BYTES_MAX = 60_000;

if (process.argv.includes("--tests")) {
    await rm(".tests", { recursive: true, force: true });
    const tests = (await readdir("tests")).filter((name) => name.endsWith(".test.ts"));
    await build({
        entryPoints: tests.map((name) => `tests/${name}`),
        outdir: ".tests",
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node18",
    });
} else {
    await rm(OUT, { recursive: true, force: true });
    await mkdir(`${OUT}/assets`, { recursive: true });
    const built = await build({
        entryPoints: ["src/main.tsx", "src/style/join.css", "src/icon.svg"],
        outdir: `${OUT}/assets`,
        entryNames: "[name]-[hash]",
        bundle: true,
        minify: true,
        format: "esm",
        target: ["es2022", "safari15.4"],
        loader: { ".svg": "copy" },
        legalComments: "none",
        metafile: true,
    });
    const made = Object.keys(built.metafile.outputs);
    let html = await readFile("src/index.html", "utf8");
    for (const path of made) {
        const [name, ending] = [basename(path).split("-")[0], path.slice(path.lastIndexOf("."))];
        html = html.replace(`{${name}${ending}}`, `/join/assets/${basename(path)}`);
    }
    await writeFile(`${OUT}/index.html`, html);
    let bytes = gzipSync(html).length;
    for (const path of made) bytes += gzipSync(await readFile(path)).length;
    if (bytes > BYTES_MAX) throw new Error(`the page has ${bytes} bytes compressed, ${BYTES_MAX} are allowed`);
    console.log(`join page: ${made.length + 1} files, ${bytes} bytes compressed`);
}
