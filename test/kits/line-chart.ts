/** What is shown: seconds of Unix time, and how far apart its points are. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly stepSeconds: number;
}

export interface Line {
  readonly colour: string;
  /** By time; what is missing between two of them is a gap. */
  readonly points: readonly (readonly [at: number, value: number])[];
}

export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

interface Scale {
  /** Of the unit that is written, in the unit that was measured. */
  readonly factor: number;
  readonly suffix: string;
  readonly ticks: readonly number[];
}

/** Grafana's names of units, each with what it is written in, the largest first. */
const UNITS: ReadonlyMap<string, Readonly<Record<string, number>>> = new Map<string, Record<string, number>>([
  ["short", { " Mil": 1e6, " K": 1e3, "": 1 }],
  ["ops", { " K ops/s": 1e3, " ops/s": 1 }],
  ["bytes", { " GiB": 2 ** 30, " MiB": 2 ** 20, " KiB": 2 ** 10, " B": 1 }],
  ["s", { " years": 31_536_000, " days": 86_400, " h": 3_600, " min": 60, " s": 1, " ms": 1e-3, " µs": 1e-6 }],
]);
const CLOCK_STEPS = [5, 10, 15, 30, 60, 300, 900, 3_600, 21_600, 86_400];
const LEFT = 66;
const BOTTOM = 18;
const TOP = 8;

/**
 * Lines over time on an axis that begins at 0, as SVG.
 * @throws Error for a unit that it cannot write.
 */
export function lineChart(lines: readonly Line[], span: Span, unit: string, { width, height }: ChartSize): string {
  const max = Math.max(0, ...lines.flatMap(({ points }) => points.map(([, value]) => value)));
  const { factor, suffix, ticks } = scaleOf(unit, max);
  const top = ticks.at(-1)! * factor;
  const x = (at: number): number => LEFT + ((at - span.from) / (span.to - span.from)) * (width - LEFT - 8);
  // What is below 0 lies on the axis: its panel says that it begins there.
  const y = (value: number): number => height - BOTTOM - (Math.max(0, value) / top) * (height - BOTTOM - TOP);
  const across = ticks.map((tick) => {
    const at = y(tick * factor).toFixed(1);
    return `<path class="grid" d="M${LEFT} ${at}H${width - 8}"/><text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${tick}${suffix}</text>`;
  });
  const clock = clockTicks(span).map(
    (at) => `<text x="${x(at).toFixed(1)}" y="${height - 3}" text-anchor="middle">${timeOf(at)}</text>`,
  );
  const drawn = lines.map(
    ({ colour, points }) => `<path class="line" stroke="${colour}" d="${pathOf(points, x, y, span.stepSeconds)}"/>`,
  );
  return `<svg width="${width}" height="${height}">${[...across, ...clock, ...drawn].join("")}</svg>`;
}

function scaleOf(unit: string, max: number): Scale {
  const written = UNITS.get(unit);
  if (written === undefined) throw new Error(`the unit ${unit} cannot be written: add it to UNITS in line-chart.ts`);
  const steps = Object.entries(written);
  const [suffix, factor] = steps.find(([, least]) => (max === 0 ? least === 1 : max >= 2 * least)) ?? steps.at(-1)!;
  const step = roundStep((max / factor || 1) / 3);
  const count = Math.ceil((max / factor || 1) / step - 1e-9);
  return { factor, suffix, ticks: Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(6))) };
}

/** The next of 1, 2, 5, 10 and so on. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((step) => step * power >= least - 1e-12)!;
}

function clockTicks({ from, to }: Span): readonly number[] {
  const step = CLOCK_STEPS.find((seconds) => (to - from) / seconds <= 6) ?? CLOCK_STEPS.at(-1)!;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, at) => first + at * step);
}

const timeOf = (at: number): string => new Date(at * 1_000).toISOString().slice(11, 19);

function pathOf(
  points: Line["points"],
  x: (at: number) => number,
  y: (value: number) => number,
  stepSeconds: number,
): string {
  let before = -Infinity;
  return points
    .map(([at, value]) => {
      const place = `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      const joined = at - before <= 1.5 * stepSeconds;
      before = at;
      // A point without neighbours is a dot.
      return joined ? `L${place}` : `M${place}h0`;
    })
    .join("");
}
