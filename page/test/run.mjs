// Opens pages in Chromium, does what people do, and compares what they show with the documents in
// them.  node test/run.mjs FOLDER PAGE.html...   With VERNIER_TEST_ALL set every page is searched for
// accessibility problems, and screenshots go to FOLDER (nothing is asserted of them, and they take a third of the time).
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [folder, ...files] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const all = Boolean(process.env.VERNIER_TEST_ALL);
const alike = ['bf16-norm-weights', 'quantisation-types']; // what they are made of, the other pages have too
const shoot = async (page, name) => all && page.screenshot({ path: join(folder, name), fullPage: true });
const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
if (!program) {
  console.error('page test: no chromium; apt-get install chromium');
  process.exit(1);
}

let failures = 0;
let step = '';
async function check(name, body) {
  step = name;
  const start = Date.now();
  try {
    await body();
    console.log(`ok      ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    ++failures;
    console.log(`FAILED  ${name}\n        ${String(error.message).split('\n').slice(0, 12).join('\n        ')}`);
  }
}

const halves = (text) => {
  const raw = Buffer.from(text, 'base64');
  return Array.from({ length: raw.length >> 1 }, (_, i) => {
    const bits = Buffer.alloc(4);
    bits.writeUInt16LE(raw.readUInt16LE(2 * i), 2);
    return bits.readFloatLE(0);
  });
};
const documentOf = (file) => {
  const html = readFileSync(file, 'utf8');
  return JSON.parse(html.match(/<script type="application\/json" id="data">([\s\S]*?)<\/script>/)[1]).studies;
};
const luminance = (css) => {
  const [r, g, b] = css.match(/[\d.]+/g).map(Number);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-gpu'] });

async function open(file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && wrong.push(m.text()));
  page.on('pageerror', (e) => wrong.push(String(e)));
  page.on('request', (r) => !/^(file|data):/.test(r.url()) && wrong.push(`a request: ${r.url()}`));
  page.setDefaultTimeout(60000);
  await page.goto(pathToFileURL(resolve(file)).href);
  await page.waitForSelector('html[data-ready=true]');
  return { page, wrong, done: () => context.close() };
}
const radio = (page, where, name) => page.locator(where).getByRole('radio', { name, exact: true }).check({ force: true });
const names = (page) => page.$$eval('.variants tbody tr', (rows) => rows.map((r) => r.dataset.name));
async function axeFinds(page) {
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations
    .filter((v) => ['serious', 'critical'].includes(v.impact))
    .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.any[0]?.message ?? ''}`).join(' | ')}`);
}

async function sections(page, studies) {
  const { claims } = studies[0];
  const part = studies[0].models[0];
  const whole = part.variants.filter((v) => !v.alone);
  for (const id of ['verdict', 'variants', 'layers', 'growth', 'tokens', 'formats', 'how'])
    assert.ok((await page.locator(`#${id}`).innerText()).length > 80, `#${id} is empty`);
  assert.equal(await page.locator('.claim').count(), claims.length);
  for (const verdict of ['supported', 'refuted', 'undecided'])
    assert.equal(await page.locator(`.claim .badge.${verdict}`).count(), claims.filter((c) => c.verdict === verdict).length);
  assert.equal(await page.locator('.claim .interval').count(), claims.filter((c) => c.estimate).length);
  assert.equal((await names(page)).length, whole.length);
  assert.match(await page.locator('h1').innerText(), new RegExp(studies[0].name.slice(0, 12).replace(/[^\w ]/g, '.')));
  assert.ok((await page.locator('#how').innerText()).includes(part.model.hash));
  const vacuous = studies[0].models.flatMap((m) => m.variants.filter((v) => v.vacuous && !v.alone));
  for (const v of vacuous) assert.ok((await page.locator('.callouts').innerText()).includes(v.name), `${v.name} is not called out`);
}

async function table(page, part) {
  const whole = part.variants.filter((v) => !v.alone);
  const head = page.locator('.sort[data-column=kld]');
  await head.click();
  const byKl = [...whole].sort((a, b) => b.kld.mean - a.kld.mean).map((v) => v.kld.mean);
  const klOf = new Map(whole.map((v) => [v.name, v.kld.mean]));
  assert.deepEqual((await names(page)).map((n) => klOf.get(n)), byKl);
  assert.equal(await page.locator('th[aria-sort=descending] .sort').getAttribute('data-column'), 'kld');
  await page.keyboard.press('Enter'); // the focus stays on the button
  assert.deepEqual((await names(page)).map((n) => klOf.get(n)), [...byKl].reverse());
  assert.equal(await page.locator('th[aria-sort=ascending]').count(), 1);
  await page.locator('.sort[data-column=name]').click();
  const sorted = await names(page);
  assert.deepEqual(sorted, [...sorted].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })));

  const word = whole[whole.length - 1].name.split(' ')[0].toLowerCase();
  await page.fill('#filter', word);
  const expected = whole.filter((v) => `${v.name} ${v.rules.map((r) => r.rule).join(' ')}`.toLowerCase().includes(word)).length;
  assert.equal((await names(page)).length, expected);
  if (expected < whole.length) assert.match(await page.locator('#variants .status').innerText(), new RegExp(`^${expected} of`));
  await page.fill('#filter', 'no such thing');
  assert.equal((await names(page)).filter(Boolean).length, 0);
  await page.fill('#filter', '');
  const vacuous = whole.filter((v) => v.vacuous || v.same_as);
  await page.locator('#variants').getByLabel('Show', { exact: true }).selectOption('vacuous');
  assert.equal((await names(page)).filter(Boolean).length, vacuous.length);
  await page.locator('#variants').getByLabel('Show', { exact: true }).selectOption('all');
  const text = page.locator('#variants').getByLabel('Text');
  if ((await text.count()) > 0) {
    await text.selectOption('0');
    assert.equal((await names(page)).length, whole.length);
    await text.selectOption('-1');
  }
  // Choosing a row moves the plots to that variant.
  const target = whole.find((v) => !v.vacuous) ?? whole[0];
  await page.locator(`.variants tr[data-name="${target.name}"] .pick`).click();
  assert.equal(await page.locator('.variants tr.chosen').getAttribute('data-name'), target.name);
  assert.ok((await page.locator('.heat caption').innerText()).includes(target.name));
  assert.equal(await page.locator('#tokens').getByLabel('Variant').inputValue(), target.name);
  return target;
}

async function layers(page, part, variant) {
  const lane = part.sample.lanes.find((l) => l.name === variant.name);
  const cells = page.locator('.heat td.cell:not(.none)');
  assert.equal(await cells.count(), lane.l2_rel.filter((x) => x !== null).length);
  const seen = await page.$$eval('.heat td.cell:not(.none):not(.zero)', (tds) =>
    tds.map((td) => [td.dataset.site, Number(td.dataset.layer), getComputedStyle(td).backgroundColor]));
  const value = (site, layer) => lane.l2_rel[part.sample.sites.findIndex((x) => x.name === site && x.layer === layer)];
  const shades = seen.map(([site, layer, colour]) => [value(site, layer), luminance(colour)]).sort((a, b) => a[0] - b[0]);
  for (const [v] of shades) assert.ok(v > 0);
  for (let i = 1; i < shades.length; ++i) assert.ok(shades[i][1] <= shades[i - 1][1] + 2.5, `more error is not darker: ${shades[i - 1]} ${shades[i]}`);
  const [site, layer] = seen[Math.floor(seen.length / 2)];
  const cell = page.locator(`.heat td[data-site="${site}"][data-layer="${layer}"]`).first();
  await cell.click();
  const label = layer < 0 ? site : `${site}[${layer}]`;
  assert.equal(await page.locator('#distribution h3').innerText(), label);
  assert.equal(await page.locator('#distribution .valuearea').count(), 2); // and its key
  assert.equal(await cell.getAttribute('aria-selected'), 'true');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const focused = await page.evaluate(() => [document.activeElement.dataset.site, Number(document.activeElement.dataset.layer)]);
  assert.ok((await page.locator('#distribution h3').innerText()).startsWith(focused[0]), 'Enter chooses the cell with the focus');
  await radio(page, '#layers', 'variants at a site');
  const whole = part.variants.filter((v) => !v.alone);
  assert.equal(await page.locator('.heat tbody tr').count(), whole.length);
  if (part.variants.some((v) => v.sites?.contributed)) {
    await page.locator('#layers').getByLabel('Show').selectOption('contributed');
    assert.ok((await page.locator('.heat td.cell:not(.none):not(.zero)').count()) > 0);
    await page.locator('#layers').getByLabel('Show').selectOption('kl_alone');
    assert.ok((await page.locator('.heat td.cell:not(.none)').count()) > 0);
  }
  await page.locator('#layers').getByLabel('Show').selectOption('l2_rel');
  await radio(page, '#layers', 'sites of a variant');
}

async function depth(page, part) {
  await radio(page, '#growth', 'RMS');
  const before = await page.locator('.growthline').count();
  assert.ok(before >= 1);
  assert.equal(await page.locator('.growthline[data-name=baseline]').count(), 1);
  const d = await page.locator('.growthline[data-name=baseline]').getAttribute('d');
  assert.equal(d.split('L').length, part.sites.filter((x) => x.startsWith('l_out[')).length);
  await page.locator('#growth summary', { hasText: 'Which variants' }).click();
  const box = page.locator('#growth .picks input:checked').first();
  const name = await box.evaluate((b) => b.parentNode.textContent);
  if (name !== (await page.locator('.variants tr.chosen').getAttribute('data-name'))) {
    await box.uncheck();
    assert.equal(await page.locator('.growthline').count(), before - 1);
    await box.check();
  }
  const plot = page.locator('.growthplot svg');
  await plot.scrollIntoViewIfNeeded();
  const size = await plot.boundingBox();
  await page.mouse.move(size.x + 70, size.y + 100);
  assert.match(await page.locator('.readout').innerText(), /layer 0/);
}

async function text(page, part, variant) {
  const data = part.tokens;
  await page.locator('#tokens').getByLabel('Variant').selectOption(variant.name);
  const chunk = data.chunks[0];
  const lane = data.lanes[variant.name] ? halves(data.lanes[variant.name]) : [];
  assert.equal(await page.locator('.token').count(), chunk.scored.length);
  const shown = await page.$$eval('.token', (spans) => spans.map((x) => [x.textContent, x.getAttribute('aria-label'), x.classList.contains('other')]));
  chunk.scored.forEach((row, k) => {
    const kld = Math.abs(lane[2 * k] ?? 0);
    const said = shown[k][1].match(/KL ([^,]+),/)[1].replace('×10', 'e').replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (c) => ({ '⁻': '-' })[c] ?? '⁰¹²³⁴⁵⁶⁷⁸⁹'.indexOf(c)).replace('−', '-');
    assert.ok(Math.abs(Number(said) - kld) <= 0.06 * kld + 1e-30, `token ${k}: ${said} is not ${kld}`);
    assert.equal(shown[k][2], lane.length > 0 && Object.is(Math.sign(lane[2 * k]), -1) ? true : Object.is(lane[2 * k], -0));
    assert.equal(shown[k][0], data.pieces[chunk.ids[row + 1]].replace(/\n/g, '↵').replace(/\t/g, '⇥'));
  });
  const span = page.locator('.token').nth(3);
  await span.hover();
  assert.equal(await page.locator('#token .top').count() >= 1, true, 'alternatives');
  const top = part.sample.lanes[0].top[3];
  assert.deepEqual(
    await page.$$eval('#token .top:first-child tbody td', (cells) => cells.length),
    top.length,
  );
  const said = await page.locator('#token .top').first().innerText();
  assert.ok(said.includes(part.sample.pieces[top[0][0]].trim().split('\n')[0]), `${said}: the likeliest is ${part.sample.pieces[top[0][0]]}`);
  await span.focus();
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.dataset.k), '4');
  const marked = await page.locator('.firstdiff').innerText();
  const total = data.chunks.flatMap((c, i) => c.scored.map(() => i));
  const at = total.findIndex((c, i) => data.chunks[c].text === chunk.text && lane.length && (lane[2 * i] < 0 || Object.is(lane[2 * i], -0)));
  if (at < 0) assert.match(marked, /throughout/);
  else assert.match(marked, new RegExp(`chunk ${data.chunks[total[at]].number + 1},`));
  if (data.chunks.length > 1) {
    await page.getByLabel('Next chunk').click();
    assert.equal(await page.locator('#tokens').getByLabel('Chunk', { exact: true }).inputValue(), '1');
    await page.getByLabel('Chunk before').click();
  }
  const before = await page.locator('.tokentext').innerHTML();
  await radio(page, '#tokens', 'Δ probability');
  if (lane.length) assert.notEqual(await page.locator('.tokentext').innerHTML(), before);
  await radio(page, '#tokens', 'KL');
  if (part.free) {
    assert.equal(await page.locator('.free').count(), part.free.lanes[variant.name] ? part.free.prompts.length : 0);
    const first = page.locator('.free summary').first();
    if ((await first.count()) > 0) await first.click();
  }
}

async function formatsOf(page) {
  const before = await page.locator('.formatrow').count();
  assert.ok(before > 1);
  const box = page.locator('#formats .picks input:not(:checked)').first();
  const name = await box.getAttribute('value');
  await box.check();
  assert.equal(await page.locator(`.formatrow[data-format="${name}"]`).count(), 1);
  assert.equal(await page.locator('#formats table.formats tbody tr').count(), before + 1);
  // e4m3: 3 bits of fraction about 1, from the format's definition.
  const studies = await page.evaluate(() => JSON.parse(document.getElementById('data').textContent).studies);
  const e4m3 = studies[0].formats.find((f) => f.name === 'e4m3');
  assert.deepEqual(e4m3.precision[e4m3.precision.length - 1].slice(1, 2), [8]);
  assert.ok(e4m3.precision.some(([a, b, bits]) => a <= 0 && b >= 0 && bits === 3));
}

for (const file of files) {
  const studies = documentOf(file);
  const stem = basename(file, '.html');
  const several = studies.length > 1 || studies[0].models.length > 1;
  const { page, wrong, done } = await open(file, { colorScheme: 'light' });
  const part = studies[0].models[0];
  let variant;
  await check(`${stem}: every part is filled`, () => sections(page, studies));
  await shoot(page, `${stem}-light.png`);
  await check(`${stem}: variants sort, filter and are chosen`, async () => { variant = await table(page, part); });
  variant ??= part.variants[0];
  await check(`${stem}: layers and sites`, () => layers(page, part, variant));
  await check(`${stem}: over depth`, () => depth(page, part));
  await check(`${stem}: tokens`, () => text(page, part, variant));
  await check(`${stem}: formats`, () => formatsOf(page));
  if (several)
    await check(`${stem}: side by side`, async () => {
      const count = studies.flatMap((x) => x.models).length;
      assert.equal(await page.locator('#part option').count(), count);
      assert.ok((await page.locator('#side svg .mark').count()) > 0);
      await page.selectOption('#part', String(count - 1));
      const last = studies[studies.length - 1].models.at(-1);
      assert.equal((await names(page)).length, last.variants.filter((v) => !v.alone).length);
      assert.ok((await page.locator('#how').innerText()).includes(last.model.hash));
      await page.selectOption('#part', '0');
    });
  if (all || !alike.includes(stem))
    await check(`${stem}: no serious accessibility problem in light`, async () => assert.deepEqual(await axeFinds(page), []));
  await check(`${stem}: the switch of colours`, async () => {
    const paper = () => page.evaluate(() => luminance(getComputedStyle(document.body).backgroundColor));
    await page.evaluate(`window.luminance = ${luminance}`);
    const light = await paper();
    await page.click('#theme');
    await page.click('#theme');
    assert.match(await page.locator('#theme').innerText(), /dark/);
    assert.ok((await paper()) < 60 && light > 200);
  });
  if (file === files[0] || file === files[files.length - 1])
    await check(`${stem}: no serious accessibility problem in dark`, async () => assert.deepEqual(await axeFinds(page), []));
  await shoot(page, `${stem}-dark.png`);
  await check(`${stem}: no error on the console, no request`, async () => assert.deepEqual(wrong, []));
  await done();
}

// On a phone, printed, and by keyboard: the first page.
const file = files[0];
await check('phone: nothing is wider than the screen', async () => {
  const { page, wrong, done } = await open(file, { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true });
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  await shoot(page, 'phone.png');
  assert.ok(wide <= screen, `${wide} > ${screen}`);
  assert.deepEqual(wrong, []);
  await done();
});
await check('print: no controls, everything fits the sheet', async () => {
  const { page, done } = await open(file, { colorScheme: 'dark', viewport: { width: 794, height: 1123 } });
  await page.emulateMedia({ media: 'print' });
  await shoot(page, 'print.png');
  const pdf = await page.pdf({ format: 'A4', path: join(folder, 'print.pdf') });
  assert.ok(pdf.length > 20000);
  assert.equal(await page.locator('.controls:visible').count(), 0);
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(255, 255, 255)');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 794, `${wide} wide`);
  // The system is dark; paper is not.
  const shades = await page.$$eval('.token[style], .badge, .tag', (all) => all.map((x) => getComputedStyle(x).backgroundColor));
  for (const colour of shades) assert.ok(luminance(colour) > 120, colour);
  await done();
});
await check('keyboard: the first key goes to the skip link, then to what the bar has', async () => {
  const { page, done } = await open(file);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  assert.ok(await page.evaluate(() => document.getElementById('main').contains(document.activeElement)));
  await done();
});

await browser.close();
if (failures) console.log(`${failures} failed (last: ${step})`);
process.exit(failures ? 1 : 0);
