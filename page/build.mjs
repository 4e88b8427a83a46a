// Makes dist/page.html: template.html with the style and the bundled code in it, and the licences of
// what is bundled. The same sources and lock file give the same bytes.  node build.mjs [OUT]
import { build, transform } from 'esbuild';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(root, 'dist', 'page.html');

const bundle = await build({
  entryPoints: [join(root, 'src', 'main.js')],
  absWorkingDir: root,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: 'iife',
  target: 'es2021',
  legalComments: 'none',
  charset: 'utf8',
});
const code = bundle.outputFiles[0].text.replaceAll('</script', '<\\/script');
const style = (
  await transform(readFileSync(join(root, 'style.css'), 'utf8'), { loader: 'css', minify: true })
).code;

// node_modules/NAME or node_modules/@SCOPE/NAME of each bundled file.
const packages = new Set();
for (const input of Object.keys(bundle.metafile.inputs)) {
  const found = [...input.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].pop();
  if (found) packages.add(found[1]);
}
function licence(name) {
  const folder = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
  if (!file || !existsSync(join(folder, file))) throw new Error(`${name}: no licence file`);
  const text = readFileSync(join(folder, file), 'utf8').trim().replaceAll('--', '- -');
  return `${name} ${version} (${license})\n\n${text}\n`;
}
const licences = [...packages].sort().map(licence).join('\n');

const fill = (text, name, value) => {
  if (text.split(name).length !== 2) throw new Error(`template.html: expected one ${name}`);
  return text.replace(name, () => value);
};
let html = readFileSync(join(root, 'template.html'), 'utf8');
html = fill(html, '/*STYLE*/', style.trim());
html = fill(html, '/*CODE*/', code.trim());
html = fill(html, '/*LICENCES*/', licences.trim());
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, html);
console.log(`${out}: ${Buffer.byteLength(html)} bytes; ${[...packages].sort().join(', ')}`);
