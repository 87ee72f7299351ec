import { type KeyType, isKeyType, KEY_TYPES } from "../ca/key-type.ts";
import { DAY_MS } from "../ca/new-authority.ts";
import { type CommandCall, type Flag, type Options, textOption, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { isTrustDomain } from "../spiffe.ts";

export const KEY_TYPE_FLAG: Flag = {
  flags: "--key-type <type>",
  description: `${KEY_TYPES[0]} by default`,
  choices: KEY_TYPES,
};

export const trustDomainFlag = (fallback: string): Flag => ({
  flags: "--trust-domain <domain>",
  description: `of the identities that it signs; ${fallback} by default`,
});

/** Several folders, each named by its flag. */
export const DIRS_FLAG: Flag = { flags: "--dir <dir>", description: "its folder; may be repeated", repeated: true };

/** @throws UsageError */
export function keyTypeOption(options: Options): KeyType | undefined {
  const text = textOption(options, "keyType");
  return text !== undefined && isKeyType(text) ? text : undefined;
}

/** @throws UsageError for what no SPIFFE ID may hold. */
export function trustDomainOption(options: Options): string | undefined {
  const text = textOption(options, "trustDomain");
  if (text === undefined || isTrustDomain(text)) return text;
  throw new UsageError(`--trust-domain is "${text}": use a-z, 0-9, '.', '-' and '_', 255 characters at most`);
}

/** @throws UsageError without it. */
export function requiredOption({ options }: Pick<CommandCall, "options">, name: string, what: string): string {
  const text = textOption(options, name);
  if (text !== undefined && text !== "") return text;
  throw new UsageError(`say ${what} with --${name} ${name === "cluster" ? "NAME" : "DIR"}`);
}

const UNITS_MS: Readonly<Record<string, number>> = { d: DAY_MS, y: 365 * DAY_MS };

/** Lives of authorities: `90d`, `10y`, `720h`. @throws UsageError if it is none, or not within the bounds. */
export function lifetimeOption(
  options: Options,
  bounds: { readonly usual: string; readonly min: string; readonly max: string },
): number {
  const text = textOption(options, "lifetime") ?? bounds.usual;
  const ms = lifetimeMs(text);
  if (ms !== undefined && ms >= lifetimeMs(bounds.min)! && ms <= lifetimeMs(bounds.max)!) return ms;
  throw new UsageError(`--lifetime is "${text}": give ${bounds.min} to ${bounds.max}, as 720h, 90d or 10y`);
}

function lifetimeMs(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,5})([dy])$/.exec(text) ?? [];
  return unit === undefined ? parseDurationMs(text) : Number(count) * UNITS_MS[unit]!;
}
