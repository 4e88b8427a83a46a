import { fill, h } from './dom.js';
import { byCost, load, partsOf } from './data.js';
import { compare } from './compare.js';
import { formats } from './formats.js';
import { growth } from './growth.js';
import { head } from './head.js';
import { heatmap } from './heatmap.js';
import { how } from './how.js';
import { printing } from './plot.js';
import { recommend } from './recommend.js';
import { setPart, state } from './state.js';
import { tokens } from './tokens.js';
import { variants } from './variants.js';

const studies = load();
const parts = partsOf(studies);
const main = document.getElementById('main');
const themes = ['auto', 'light', 'dark'];
let theme = 'auto';
try {
  theme = localStorage.getItem('vernier-theme') ?? 'auto';
} catch {
  // A page from disk may have no storage.
}

function applyTheme() {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
function setTheme(chosen) {
  theme = chosen;
  try {
    localStorage.setItem('vernier-theme', theme);
  } catch {
    // Not kept, then.
  }
  applyTheme();
  show(state.part, state.variant); // colours of plots are computed
}

function show(part, variant) {
  const first = variant ?? (byCost(part.whole).find((v) => !v.vacuous) ?? part.whole[0])?.name;
  setPart(part, first);
  document.title = studies.length > 1 ? `Vernier: ${studies.length} studies` : `${part.study.name} – Vernier`;
  const sections = [
    compare(studies, parts),
    head(studies, part, parts),
    recommend(part),
    variants(part),
    heatmap(part),
    growth(part),
    tokens(part),
    formats(part),
    how(part),
  ].filter(Boolean);
  fill(main, sections);
  drawBar(sections);
}

function drawBar(sections) {
  const titles = { side: 'Side by side', verdict: 'Verdict', recommend: 'What to do', variants: 'Variants', layers: 'Layers', growth: 'Depth', tokens: 'Tokens', formats: 'Formats', how: 'How' };
  fill(
    document.getElementById('bar'),
    h('a', { class: 'mark', href: '#main' }, 'Vernier'),
    parts.length > 1
      ? h(
          'label',
          { class: 'field part', for: 'part' },
          h('span', { class: 'sr' }, 'Study and model'),
          h(
            'select',
            { id: 'part', onchange: (e) => { show(parts[e.target.value]); document.getElementById('part').focus(); } },
            parts.map((p) => h('option', { value: p.index, selected: p === state.part }, p.label)),
          ),
        )
      : null,
    h('nav', { 'aria-label': 'Parts of the page' }, sections.map((node) => h('a', { href: `#${node.id}` }, titles[node.id]))),
    h(
      'button',
      {
        type: 'button',
        class: 'theme',
        id: 'theme',
        'aria-label': `Colours: ${theme}. Change`,
        onclick: () => {
          setTheme(themes[(themes.indexOf(theme) + 1) % 3]);
          document.getElementById('theme').focus();
        },
      },
      { auto: '◐ auto', light: '○ light', dark: '● dark' }[theme],
    ),
  );
}

applyTheme();
fill(
  document.getElementById('foot'),
  'Made by Vernier, a numerical-precision laboratory. Figures here have five digits; results.json has all of them. The page loads nothing from a network.',
);
show(parts[0]);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => theme === 'auto' && show(state.part, state.variant));
printing.addEventListener('change', () => show(state.part, state.variant));
// Print shows what details hold back.
let closed = [];
addEventListener('beforeprint', () => {
  closed = [...document.querySelectorAll('.claim details:not([open])')];
  for (const d of closed) d.open = true;
});
addEventListener('afterprint', () => {
  for (const d of closed) d.open = false;
});
document.documentElement.dataset.ready = 'true';
