/* Bundles the scripts and styles of the pages into ../static/bptl. Started by `./run assets`. */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import * as esbuild from "esbuild";

const OUT = "../static/bptl";

/* A theme defines some 1,200 tokens and its dark copy as many again; kept is what a rule reaches, also through others. */
export function withoutUnusedTokens(css) {
  const declaration = /(?<=[{;}\s])(--[\w-]+):([^;{}]*);?/g;
  const names = (text) => [...text.matchAll(/var\(\s*(--[\w-]+)/g)].map((found) => found[1]);
  const values = new Map();
  for (const [, name, value] of css.matchAll(declaration)) values.set(name, [...(values.get(name) ?? []), value]);
  const used = new Set();
  const waiting = names(css.replace(declaration, ""));
  while (waiting.length) {
    const name = waiting.pop();
    if (used.has(name)) continue;
    used.add(name);
    for (const value of values.get(name) ?? []) waiting.push(...names(value));
  }
  return css.replace(declaration, (whole, name) => (used.has(name) ? whole : ""));
}

/* Licences ask that their text goes along with what was built from the packages. */
async function licences(inputs) {
  const packages = new Set(inputs.map((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1]).filter(Boolean));
  const packagesOf = new Map();
  for (const name of [...packages].sort()) {
    const folder = `node_modules/${name}`;
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? (await readFile(`${folder}/${file}`, "utf8")).trim() : license;
    packagesOf.set(text, [...(packagesOf.get(text) ?? []), `${name} ${version}`]);
  }
  const parts = [...packagesOf].map(([text, names]) => `${names.join(", ")}\n\n${text}`);
  return parts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n";
}

await rm(OUT, { recursive: true, force: true });
const { metafile } = await esbuild.build({
  metafile: true,
  entryPoints: ["pages.js", "pages.css", "diagram.js"],
  outdir: OUT,
  bundle: true,
  minify: true,
  legalComments: "none",
  target: ["chrome111", "firefox113", "safari16.4"],
  loader: { ".woff2": "file" },
  assetNames: "fonts/[name]",
  logLevel: "warning",
});
const sheet = `${OUT}/pages.css`;
const pruned = withoutUnusedTokens(await readFile(sheet, "utf8"));
const { code } = await esbuild.transform(pruned, { loader: "css", minify: true, legalComments: "none" });
await writeFile(sheet, code);
await writeFile(`${OUT}/LICENSES.txt`, await licences(Object.keys(metafile.inputs)));
