import { type Line, lineChart, type Span } from "./line-chart.ts";

/** What of a dashboard of Grafana is drawn. */
export interface Dashboard {
  readonly title: string;
  readonly description: string;
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit: string } };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

/** One of the results of a range query, as Prometheus writes it. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [at: number, value: string])[];
}

type NamedLine = Line & { readonly name: string };

const COLUMN = 45.5;
const ROW = 28;
const GAP = 8;
const PADDING = 12;
/** Of a panel's title, and of two lines of names below its chart. */
const AROUND_CHART = 26 + 38;
const NAMES_WIDTH_OF_PANEL = 1.7;
const COLOURS = ["#1f6fb2", "#c2571a", "#2f8a4c", "#8a4fb0", "#b3263e", "#0c8585", "#8a6d1a", "#5b6770"];

/** As wide as the page that `dashboardPicture` makes. */
export const PICTURE_WIDTH = 1_120;

/**
 * A page of a dashboard with what its expressions gave: panels where Grafana puts them, with their titles, units and names of lines.
 * It is one file that asks nobody for anything.
 * @param answerTo the result of an expression, as the dashboard writes it
 * @param caption where the numbers are from
 * @throws Error for a panel of a type, or with a unit, that is not drawn here.
 */
export function dashboardPicture(
  { title, description, panels }: Dashboard,
  answerTo: (expression: string) => readonly Series[],
  span: Span,
  caption: string,
): string {
  const height = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h)) * ROW;
  const drawn = panels.map((panel) => {
    if (panel.type === "row") return placed(panel, "row", `<h2>${escaped(panel.title)}</h2>`);
    if (panel.type !== "timeseries") throw new Error(`${panel.title}: a panel of type ${panel.type} is not drawn here`);
    return placed(panel, "panel", `<h3>${escaped(panel.title)}</h3>${contentOf(panel, answerTo, span)}`);
  });
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title><style>${STYLE}</style></head>
<body><h1>${escaped(title)}</h1><p>${escaped(description)}</p><p>${escaped(caption)}</p>
<main style="height:${height}px">
${drawn.join("\n")}
</main></body></html>`;
}

function placed({ gridPos: { x, y, w, h } }: Panel, kind: string, content: string): string {
  const box = `left:${x * COLUMN}px;top:${y * ROW}px;width:${w * COLUMN - GAP}px;height:${h * ROW - GAP}px`;
  return `<section class="${kind}" style="${box}">${content}</section>`;
}

function contentOf(panel: Panel, answerTo: (expression: string) => readonly Series[], span: Span): string {
  const lines = linesOf(panel, answerTo);
  if (lines.length === 0) return '<p class="empty">No data</p>';
  const width = panel.gridPos.w * COLUMN - GAP - 2 * PADDING;
  const height = panel.gridPos.h * ROW - GAP - AROUND_CHART - PADDING;
  const chart = lineChart(lines, span, panel.fieldConfig!.defaults.unit, { width, height });
  return `${chart}<ul>${namesOf(lines, width * NAMES_WIDTH_OF_PANEL).join("")}</ul>`;
}

function linesOf({ targets }: Panel, answerTo: (expression: string) => readonly Series[]): readonly NamedLine[] {
  return targets!
    .flatMap(({ expr, legendFormat }) =>
      answerTo(expr).map(({ metric, values }) => ({
        name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ""),
        points: values.map(([at, value]) => [at, Number(value)] as const).filter(([, value]) => Number.isFinite(value)),
      })),
    )
    .filter(({ points }) => points.length > 0)
    .map((line, at) => ({ ...line, colour: COLOURS[at % COLOURS.length]! }));
}

/** As many as there is room for, and how many more there are. */
function namesOf(lines: readonly NamedLine[], width: number): readonly string[] {
  let left = width;
  const shown = lines.filter(({ name }) => (left -= 26 + 6.6 * name.length) > 0);
  const names = shown.map(({ name, colour }) => `<li><i style="background:${colour}"></i>${escaped(name)}</li>`);
  return shown.length === lines.length ? names : [...names, `<li>and ${lines.length - shown.length} more</li>`];
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const STYLE = `
body { margin: 18px; width: 1084px; background: #f6f7f8; color: #1b2228; font: 13px/1.45 "DejaVu Sans", sans-serif }
h1 { margin: 0 0 4px; font-size: 20px }
p { margin: 0 0 2px; color: #545e68 }
main { position: relative; margin-top: 14px }
section { position: absolute; box-sizing: border-box }
h2 { margin: 0; font-size: 14px; line-height: 22px }
h3 { margin: 0; font-size: 12.5px; line-height: 26px }
.panel { padding: 4px ${PADDING}px; background: #fff; border: 1px solid #d9dee3; border-radius: 4px; overflow: hidden }
.empty { margin-top: 60px; text-align: center }
svg { display: block }
svg text { font-size: 10.5px; fill: #545e68 }
.grid { stroke: #e6eaed }
.line { fill: none; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round }
ul { margin: 4px 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 14px; font-size: 10.5px; line-height: 16px }
li { list-style: none; white-space: nowrap }
i { display: inline-block; width: 10px; height: 3px; margin: 0 5px 3px 0; border-radius: 1px }
`;
