/** Why one field of an object cannot be read; never leaves the intake. */
export class FieldError extends Error {
  override readonly name = "FieldError";
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

export type Fields = Readonly<Record<string, unknown>>;

/** Absent and null are the same to Kubernetes, and read as nothing. */
export const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function fieldsOf(value: unknown, field: string): Fields {
  if (isAbsent(value)) return {};
  if (!isFields(value)) throw new FieldError(field, `must be a map of fields, not ${describe(value)}`);
  return value;
}

/** @throws FieldError if it is no list, or has more than `itemsMax` items. */
export function listOf(value: unknown, field: string, itemsMax = 10_000): readonly unknown[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) throw new FieldError(field, `must be a list, not ${describe(value)}`);
  if (value.length > itemsMax)
    throw new FieldError(field, `has ${value.length} items; at most ${itemsMax} are read, so split the object`);
  return value as readonly unknown[];
}

/** Empty if absent. @throws FieldError if it is not text, or longer than `charsMax`. */
export function textOf(value: unknown, field: string, charsMax = 1024): string {
  if (isAbsent(value)) return "";
  if (typeof value !== "string") throw new FieldError(field, `must be text, not ${describe(value)}`);
  if (value.length > charsMax)
    throw new FieldError(field, `is ${value.length} characters long; at most ${charsMax} are allowed`);
  return value;
}

export function textsOf(value: unknown, field: string): readonly string[] {
  return listOf(value, field).map((item, at) => {
    const text = textOf(item, `${field}[${at}]`);
    if (text === "") throw new FieldError(`${field}[${at}]`, "must not be empty");
    return text;
  });
}

export function truthOf(value: unknown, field: string): boolean | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value !== "boolean") throw new FieldError(field, `must be true or false, not ${describe(value)}`);
  return value;
}

/** Undefined if absent. @throws FieldError unless a whole number within the bounds, both included. */
export function integerOf(value: unknown, field: string, min: number, max: number): number | undefined {
  if (isAbsent(value)) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max)
    throw new FieldError(field, `must be a whole number from ${min} to ${max}, not ${describe(value)}`);
  return value;
}

/** @throws FieldError unless a port, 1 to 65535. */
export function portOf(value: unknown, field: string): number {
  const port = integerOf(value, field, 1, 65_535);
  if (port === undefined) throw new FieldError(field, "is missing; it must be a port from 1 to 65535");
  return port;
}

/** Short enough for a log line, whatever it is, and without control characters. */
export function describe(value: unknown): string {
  const text = typeof value === "object" && value !== null ? (Array.isArray(value) ? "a list" : "a map") : undefined;
  return text ?? JSON.stringify(typeof value === "string" ? value.slice(0, 80) : value) ?? typeof value;
}
