import { describe, FieldError, integerOf, isAbsent, textOf, type Fields } from "../../registry/kube/fields.ts";
import type { KeyType } from "../../ca/key-type.ts";
import { supportedFieldsOf } from "./read-fields.ts";

/** How a certificate of an authority is to be, as the published API says it for roots and for intermediates. */
export interface AuthorityOptions {
  /** Empty if not said. */
  readonly organization: string;
  readonly keyType: KeyType;
  readonly lifetimeMs: number;
  /** Between 0 and 1; undefined if not said. */
  readonly graceRatio: number | undefined;
}

export const DAY_MS = 86_400_000;
/** X.520: of `organizationName`. */
const ORGANIZATION_CHARS_MAX = 64;
const CONTROL = /[\x00-\x1f\x7f]/;

export interface AuthorityDefaults {
  readonly ttlDays: number;
  readonly ttlDaysMax: number;
  /** Fields that are there besides, for somebody else to read. */
  readonly more: readonly string[];
}

/** @throws FieldError */
export function authorityOptionsOf(value: unknown, field: string, defaults: AuthorityDefaults): AuthorityOptions {
  const names = ["orgName", "rsaKeySizeBytes", "ttlDays", "secretRotationGracePeriodRatio", ...defaults.more];
  const options = supportedFieldsOf(value, field, names);
  const days = integerOf(options["ttlDays"], `${field}.ttlDays`, 1, defaults.ttlDaysMax) ?? defaults.ttlDays;
  return {
    organization: organizationOf(options["orgName"], `${field}.orgName`),
    keyType: keyTypeOf(options, `${field}.rsaKeySizeBytes`),
    lifetimeMs: days * DAY_MS,
    graceRatio: ratioOf(options["secretRotationGracePeriodRatio"], `${field}.secretRotationGracePeriodRatio`),
  };
}

function organizationOf(value: unknown, field: string): string {
  const text = textOf(value, field);
  if (isAbsent(value)) return text;
  if (text.trim() === "" || CONTROL.test(text) || Array.from(text).length > ORGANIZATION_CHARS_MAX)
    throw new FieldError(
      field,
      `is ${describe(text)}; give 1 to ${ORGANIZATION_CHARS_MAX} characters, all on one line`,
    );
  return text;
}

/** The published API counts the bits of the key in a field that says bytes. */
function keyTypeOf(options: Fields, field: string): KeyType {
  const bits = options["rsaKeySizeBytes"];
  if (isAbsent(bits)) return "ec-p256";
  if (bits === 2048 || bits === 3072 || bits === 4096) return `rsa-${bits}`;
  const fix = "it counts bits in spite of its name: give 2048, 3072 or 4096, or leave it out for P-256";
  throw new FieldError(field, `is ${describe(bits)}; ${fix}`);
}

function ratioOf(value: unknown, field: string): number | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value === "number" && value > 0 && value < 1) return value;
  throw new FieldError(
    field,
    `is ${describe(value)}; give a number between 0 and 1, as 0.1 for the last tenth of its life`,
  );
}
