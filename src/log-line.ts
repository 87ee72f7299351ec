import type { EpochMs, LogFields, LogLevel } from "./host.ts";
import { printable } from "./printable.ts";

/** Beyond this a value says no more to a person; a peer must not fill the disk with one line. */
const VALUE_CHARACTERS_MAX = 4096;

export interface LogEntry {
  /** Fractions are microseconds. */
  readonly at: EpochMs;
  readonly level: LogLevel;
  readonly scope: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** `time  level  scope  message  key=value …` with tabs between, as istiod writes; always exactly one line. */
export function textLine({ at, level, scope, message, fields }: LogEntry): string {
  const pairs = present(fields).map(([key, value]) => `${key}=${typeof value === "string" ? quoted(value) : value}`);
  const columns = [timestamp(at), level, scope, printable(message, VALUE_CHARACTERS_MAX), pairs.join(" ")];
  return `${columns.slice(0, pairs.length === 0 ? 4 : 5).join("\t")}\n`;
}

/** The same as one JSON object; a field cannot take the place of the time, level, scope or message. */
export function jsonLine({ at, level, scope, message, fields }: LogEntry): string {
  const frame = { level, time: timestamp(at), scope, msg: message.slice(0, VALUE_CHARACTERS_MAX) };
  const values = present(fields).map(([key, value]) => [
    key,
    typeof value === "string" ? value.slice(0, VALUE_CHARACTERS_MAX) : value,
  ]);
  return `${JSON.stringify({ ...frame, ...Object.fromEntries(values), ...frame })}\n`;
}

function present(fields: LogFields): [string, string | number | boolean][] {
  const found: [string, string | number | boolean][] = [];
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) found.push([key, value]);
  return found;
}

/** Values with spaces, quotes or equals signs go between quotes, so that no value can look like another field. */
function quoted(value: string): string {
  const shown = printable(value, VALUE_CHARACTERS_MAX);
  return /^[^\s"=]+$/.test(shown) ? shown : `"${shown.replace(/"/g, '\\"')}"`;
}

/** RFC 3339 in UTC with microseconds. */
function timestamp(at: EpochMs): string {
  const micros = Math.floor((at % 1) * 1000);
  return `${new Date(at).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}
