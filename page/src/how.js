// How a study was done, and how to do it again.
import { fill, h, scroller, section, table } from './dom.js';
import { count, num, percent } from './numbers.js';
import { onVariant, state } from './state.js';

const quote = (t) => (/^[\w@%+=:,./[\]*-]+$/.test(t) && !/[[\]*]/.test(t) ? t : `'${t.replace(/'/g, `'\\''`)}'`);

function command(text) {
  const said = h('span', { class: 'said', role: 'status' });
  return h(
    'div',
    { class: 'command' },
    h('pre', { tabindex: '0' }, h('code', {}, text)),
    h(
      'button',
      {
        type: 'button',
        onclick: async () => {
          try {
            await navigator.clipboard.writeText(text);
            said.textContent = 'copied';
          } catch {
            said.textContent = 'select the text to copy it';
          }
          setTimeout(() => (said.textContent = ''), 2000);
        },
      },
      'Copy',
    ),
    said,
  );
}

export function how(part) {
  const { study, model, whole } = part;
  const one = h('div', {});
  const base = model.baseline.rules ?? [];
  function draw() {
    const v = whole.find((w) => w.name === state.variant);
    if (!v) return;
    const rules = (list) => list.map((r) => ` --rule ${quote(r)}`).join('');
    const own = (v.rules ?? []).map((r) => r.rule);
    const all = [...(model.model.rules ?? []), ...base, ...own];
    const against = [...(model.model.rules ?? []), ...base];
    const text = study.texts[0];
    fill(
      one,
      h('h3', {}, `‘${v.name}’ alone`),
      v.rules?.length
        ? scroller('Rules of the variant', table('Rules of the variant', ['rule', 'sites', 'elements', 'changed', 'saturated', 'flushed'], v.rules.map((r) => [h('code', {}, r.rule), count(r.sites), count(r.elements), count(r.changed), count(r.saturated), count(r.flushed)])))
        : null,
      against.length
        ? h('p', { class: 'note' }, 'The baseline has rules of its own, which are in force in the variant as well.')
        : command(`vernier eval ${quote(model.model.path)}${rules(all)} --against ${quote(model.model.path)} -f ${quote(text.path)} -c ${study.context}`),
      command(`vernier compare ${quote(model.model.path)}${rules(own)} -f ${quote(text.path)} -c ${study.context} -n 0`),
    );
  }
  draw();
  onVariant(draw);
  const cost = study.cost;
  return section(
    'how',
    'How it was done',
    'The numbers depend on what stands here alone: not on the machine, its threads or its vectors.',
    h(
      'dl',
      { class: 'facts' },
      [
        ['study', h('code', {}, study.study)],
        ['model', [h('code', {}, model.model.path), `, ${model.model.architecture}, ${count(model.layers)} layers`]],
        ['model’s hash', h('code', { class: 'hash' }, model.model.hash)],
        model.model.rules?.length ? ['model’s rules', model.model.rules.map((r) => h('code', {}, r))] : null,
        ['baseline', base.length ? base.map((r) => h('code', {}, r)) : 'the model as it is'],
        ['truth', study.truth ? 'the same model in float64' : 'none'],
        ['noise', model.noise ? `${model.noise.lanes} lanes rounded at random` : 'none'],
        ['texts', study.texts.map((t, i) => [i ? ', ' : '', `${t.name} (`, h('code', {}, t.path), ')'])],
        ['chunks', `${count(study.chunks)} of ${count(study.context)} tokens, the later half of each scored`],
        ['seed', String(study.seed)],
        ['numerics', h('code', {}, study.numerics)],
        cost ? ['work', `${count(cost.tensors_evaluated)} of ${count(cost.tensors_naive)} tensors evaluated (${percent(cost.tensors_evaluated / Math.max(1, cost.tensors_naive), 1)}), ${num(cost.seconds)} s`] : null,
      ]
        .filter(Boolean)
        .map(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]),
    ),
    h('h3', {}, 'The whole study'),
    command(study.command),
    one,
    h('details', { class: 'figures' }, h('summary', {}, 'The study’s file'), h('pre', { class: 'file', tabindex: '0' }, h('code', {}, study.file))),
  );
}
