"""How the page looks: one column on a phone, three of figures on a desk, ink on paper, dark where asked for."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fefefe; --ink: #1c2329; --muted: #5c6670; --grid: #dde2e7; --shade: #f3f5f7; --link: #0b5c92;
  --notice: #fdf6e3; --notice-edge: #b7791f; --wrong: #a9400a;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #009e73; --series-4: #cc79a7; --series-5: #56b4e9;
  --series-6: #e69f00;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15191d; --ink: #e4e8ec; --muted: #98a3ad; --grid: #343c44; --shade: #1d2328; --link: #7cc0ef;
    --notice: #2a2416; --notice-edge: #d9a441; --wrong: #f3955c;
    --series-1: #4ba6e0; --series-2: #f07f35; --series-3: #33c295; --series-4: #df9cc2; --series-5: #8fd0f5;
    --series-6: #f2b73c;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
}
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1rem 4rem; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; font-weight: 600; }
h1 { font-size: 1.9rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 0 0 1rem; padding-top: 1.25rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1.0625rem; margin: 0 0 .35rem; }
* + h3 { margin-top: 1.75rem; }
h2 + h3, figure h3 { margin-top: 0; }
section { margin-top: 2.75rem; }
p { margin: 0 0 .75rem; max-width: 44rem; }
a { color: var(--link); text-underline-offset: .15em; text-decoration-thickness: .06em; }
a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .9375em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
.small { font-size: .9375rem; color: var(--muted); }
.kicker { color: var(--muted); margin: 0 0 .35rem; }
nav { margin-top: 1.25rem; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .9375rem; }
nav a { text-decoration: none; padding: .2rem 0; }
nav a:hover { text-decoration: underline; }
.hero { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1.25rem; margin: 1.75rem 0 0; }
.hero strong { font-size: 3rem; line-height: 1.1; font-weight: 600; letter-spacing: -.02em; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.hero span { max-width: 34rem; }
.hero b { font-weight: 600; }
.notices { background: var(--notice); border-left: .25rem solid var(--notice-edge); padding: .9rem 1.1rem;
  margin: 1.75rem 0 0; border-radius: 0 .25rem .25rem 0; }
.notices h2 { border: 0; padding: 0; font-size: 1.0625rem; margin: 0 0 .35rem; }
.notices ul { margin: 0; padding-left: 1.15rem; max-width: 52rem; overflow-wrap: anywhere; }
.notices li + li { margin-top: .3rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; line-height: 1.4; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { text-align: left; vertical-align: top; padding: .55rem 1.5rem .55rem 0; border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
tbody th { font-weight: 500; }
thead th { font-weight: 500; color: var(--muted); font-size: .9375rem; white-space: nowrap; vertical-align: bottom; }
td small, th small { display: block; font-size: .875rem; color: var(--muted); font-weight: 400; }
.findings { min-width: min(100%, 46rem); }
.findings td, .numbers td, .verdicts td { white-space: nowrap; }
.findings td small, .numbers td small, .verdicts td:last-child { white-space: normal; }
.verdicts td:last-child { min-width: 12rem; }
.findings td:nth-child(3) small { white-space: nowrap; }
.findings td strong { font-weight: 600; }
.findings .reason, .numbers .reason { white-space: normal; color: var(--muted); display: block; max-width: 22rem; }
.wrong { color: var(--wrong); }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) minmax(0, 1fr); margin: 0; }
dt, dd { margin: 0; padding: .45rem 0; border-bottom: 1px solid var(--grid); overflow-wrap: anywhere; }
dt { color: var(--muted); padding-right: 1rem; }
dd dl { grid-template-columns: minmax(6rem, 11rem) minmax(0, 1fr); }
dd dl > * { border: 0; padding: .1rem .75rem .1rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr));
  gap: 2.5rem 2rem; align-items: start; }
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figure.wide svg { max-width: 46rem; min-width: 34rem; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial,
  sans-serif; }
figcaption { font-size: .9375rem; line-height: 1.5; color: var(--muted); margin-top: .5rem; }
figcaption .files { white-space: nowrap; }
.pairs { list-style: none; margin: 0 0 1.5rem; padding: 0; display: grid; gap: 1.5rem 2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); }
.pairs li { min-width: 0; }
.pairs .two { display: flex; gap: .25rem; max-width: 17rem; }
.pairs .two > * { flex: 0 1 8.4rem; min-width: 0; aspect-ratio: 1; border-radius: .2rem; background: var(--shade); }
.pairs img { display: block; width: 100%; height: 100%; object-fit: cover; }
.pairs .missing { display: flex; align-items: center; justify-content: center; text-align: center; padding: .5rem;
  font-size: .875rem; color: var(--muted); }
.pairs p { margin: .4rem 0 0; font-size: .9375rem; line-height: 1.4; overflow-wrap: anywhere; }
.pairs .small { font-size: .875rem; margin-top: .15rem; }
.key { list-style: none; margin: .5rem 0 0; padding: 0; }
.swatch { display: inline-block; width: 1.4rem; height: .25rem; margin-right: .5rem; vertical-align: .25em; }
.after { margin-top: 1rem; }
footer { margin-top: 3.5rem; padding-top: 1rem; border-top: 1px solid var(--grid); }
@media (max-width: 34rem) {
  main { padding-top: 1.5rem; }
  h1 { font-size: 1.6rem; }
  .hero strong { font-size: 2.5rem; }
  th, td { padding-right: 1rem; }
  dl { grid-template-columns: minmax(0, 1fr); }
  dd dl { grid-template-columns: minmax(0, 9rem) minmax(0, 1fr); font-size: .9375rem; }
  dt { border: 0; padding-bottom: 0; font-size: .9375rem; }
  dd { padding-top: 0; }
  .pairs { grid-template-columns: minmax(0, 1fr); }
  .stacked, .stacked tbody { display: block; }
  .stacked thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stacked tr { display: grid; grid-template-columns: repeat(3, auto); justify-content: space-between; gap: .4rem 1rem;
    padding: .8rem 0; border-bottom: 1px solid var(--grid); }
  .stacked th, .stacked td { border: 0; padding: 0; }
  .stacked tbody th, .stacked td:nth-child(5) { grid-column: 1 / -1; }
  .stacked td:has(.reason) { grid-column: 1 / -1; }
  .stacked td::before { content: attr(data-label); display: block; font-size: .875rem; color: var(--muted);
    font-weight: 400; }
}
@page { margin: 16mm 14mm; }
@media print {
  html { font-size: 9.5pt; }
  main { max-width: none; padding: 0; }
  nav, figcaption .files { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3, h3 + p, .hero, dt { break-after: avoid; }
  section { margin-top: 1.5rem; }
  footer { margin-top: 1rem; break-before: avoid; }
  figure, tr, .pairs li, .notices, dt, dd { break-inside: avoid; }
  .scroll { overflow: visible; }
  /* Parts of a grid are torn apart between pages, parts of a line are not. */
  .figures, .pairs { display: block; }
  figure, .pairs li { display: inline-block; vertical-align: top; }
  #figures { break-before: page; }
  figure { width: 42%; margin: 0 7% 1rem 0; }
  figure.wide { width: 100%; margin-right: 0; }
  figure.wide svg { min-width: 0; }
  .pairs li { width: 23%; margin: 0 1.5% 1rem 0; }
  .notices, .pairs .two > *, .swatch { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  thead { display: table-header-group; }
}
"""
