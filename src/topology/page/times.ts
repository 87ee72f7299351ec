const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

/** The largest unit that says enough at a glance: `42 s`, `3 min`, `5 h`, `12 d`. */
export function durationText(ms: number): string {
  const [unitMs, name] = UNITS.find(([unit]) => ms >= unit) ?? [1_000, "s"];
  return `${Math.max(0, Math.floor(ms / unitMs))} ${name}`;
}

/** How long ago that was, by the clock that wrote both; empty if it never was. */
export const ageText = (time: string, nowMs: number): string =>
  time === "" ? "" : durationText(Math.max(0, nowMs - Date.parse(time)));

/** To the minute, in UTC, as every log has it. */
export const dateText = (time: string): string => (time === "" ? "" : `${time.slice(0, 10)} ${time.slice(11, 16)}Z`);
