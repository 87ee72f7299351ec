import { MeshError } from "../errors.ts";

/** Tags of the types that certificates are made of (X.690). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

/** The tag of `[number]`, holding others or bytes. */
export const contextTag = (number: number, constructed: boolean): number => (constructed ? 0xa0 : 0x80) | number;

/** One value in DER: its tag, its length and these parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  const head = lengthBytes(length);
  const whole = Buffer.allocUnsafe(1 + head.length + length);
  whole[0] = tag;
  whole.set(head, 1);
  let at = 1 + head.length;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 0xff);
  return [0x80 | bytes.length, ...bytes];
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => der(TAG.sequence, ...parts);

/** A positive integer, given as big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
  const magnitude = bytes.subarray(at);
  return der(TAG.integer, ...(magnitude[0]! >= 0x80 ? [Buffer.of(0), magnitude] : [magnitude]));
}

/** Whole bytes only. */
export const bitString = (bytes: Uint8Array): Buffer => der(TAG.bitString, Buffer.of(0), bytes);

/** As `2.5.29.17`. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [40 * first + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(TAG.oid, Buffer.from(bytes));
}

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050. Milliseconds are dropped. */
export function time(epochMs: number): Buffer {
  const date = new Date(epochMs);
  const year = date.getUTCFullYear();
  if (Number.isNaN(year)) throw new RangeError(`${epochMs} is no time`);
  const early = year < 2050;
  const day = `${early ? two(year % 100) : year}${two(date.getUTCMonth() + 1)}${two(date.getUTCDate())}`;
  const digits = `${day}${two(date.getUTCHours())}${two(date.getUTCMinutes())}${two(date.getUTCSeconds())}Z`;
  return der(early ? TAG.utcTime : TAG.generalizedTime, Buffer.from(digits, "latin1"));
}

const two = (number: number): string => (number < 10 ? `0${number}` : `${number}`);

/** One value as it lies in the bytes that were read. Views of them are made when they are asked for: few ever are. */
export class DerValue {
  readonly tag: number;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #contentStart: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, contentStart: number, end: number) {
    this.tag = bytes[start]!;
    this.#bytes = bytes;
    this.#start = start;
    this.#contentStart = contentStart;
    this.#end = end;
  }

  get content(): Uint8Array {
    return this.#bytes.subarray(this.#contentStart, this.#end);
  }

  /** Tag and length included. */
  get whole(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** A reader of what it holds. */
  read(): DerReader {
    return new DerReader(this.#bytes, this.#contentStart, this.#end);
  }
}

/** Reads values one after the other. Strict: definite lengths in their shortest form, nothing outside the bytes. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  /** Of all bytes, or those from `start` to `end`. */
  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  /** @throws MeshError `invalid` if there is none, or it is not of `tag`. */
  next(tag?: number): DerValue {
    const start = this.#at;
    const found = this.#byte();
    const length = this.#length();
    const contentStart = this.#at;
    if (contentStart + length > this.#end) throw malformed("a value is longer than what holds it");
    if (tag !== undefined && found !== tag) throw malformed(`tag ${found} where ${tag} belongs`);
    this.#at = contentStart + length;
    return new DerValue(this.#bytes, start, contentStart, this.#at);
  }

  /** The next value if it is of `tag`. */
  optional(tag: number): DerValue | undefined {
    return !this.atEnd && this.#bytes[this.#at] === tag ? this.next() : undefined;
  }

  /** The next value if it is a boolean, else the default of one that was left out. */
  boolean(): boolean {
    const value = this.optional(TAG.boolean);
    if (value === undefined) return false;
    const { content } = value;
    const [byte] = content;
    // Many write out a default of false, which DER forbids but every reader takes.
    if (content.length !== 1 || (byte !== 0 && byte !== 0xff)) throw malformed("a boolean is neither 0 nor 255");
    return byte === 0xff;
  }

  /** A reader of what the next value holds. */
  enter(tag: number): DerReader {
    return this.next(tag).read();
  }

  /** @throws MeshError `invalid` if anything is left. */
  end(): void {
    if (!this.atEnd) throw malformed("something follows where nothing may");
  }

  #byte(): number {
    if (this.#at >= this.#end) throw malformed("it is cut short");
    return this.#bytes[this.#at++]!;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw malformed("a length is indefinite or over 4 bytes");
    let length = 0;
    for (let left = count; left > 0; left -= 1) length = length * 256 + this.#byte();
    if (length < 0x80 || length < 256 ** (count - 1)) throw malformed("a length is not in its shortest form");
    return length;
  }
}

/** What others wrote and nobody here looks at: values may not hide in each other without end. */
const DEPTH_MAX = 16;
const CONSTRUCTED = 0x20;

/**
 * Looks at all values, down to the last, for what every strict reader refuses, though nothing of it may be used here:
 * two readers must not see two things.
 * @throws MeshError `invalid`.
 */
export function requireDer(reader: DerReader, depth = 0): void {
  if (depth > DEPTH_MAX) throw malformed(`values lie over ${DEPTH_MAX} deep in each other`);
  while (!reader.atEnd) {
    const value = reader.next();
    if (value.tag < 0x40) requireUniversal(value);
    if ((value.tag & CONSTRUCTED) !== 0) requireDer(value.read(), depth + 1);
  }
}

/** Sequences and sets hold values, all other universal types do not. */
function requireUniversal(value: DerValue): void {
  const { tag } = value;
  const number = tag & 0x1f;
  const holds = number === 0x10 || number === 0x11;
  if (number === 0 || number === 0x1f) throw malformed(`a value has the tag ${tag}`);
  if (holds !== ((tag & CONSTRUCTED) !== 0))
    throw malformed(`tag ${tag} is constructed where it must not be, or the other way`);
  if (holds) return;
  const { content } = value;
  if (tag === TAG.oid) oidText(content);
  if (tag === TAG.null && content.length > 0) throw malformed("a null holds something");
  if (tag === TAG.boolean && (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)))
    throw malformed("a boolean is neither 0 nor 255");
  if (tag === TAG.integer && !isShortest(content)) throw malformed("an integer is not in its shortest form");
  if (tag === TAG.bitString && (content.length === 0 || content[0]! > 7)) throw malformed("a bit string has no start");
}

function isShortest(content: Uint8Array): boolean {
  const [first, second] = content;
  if (first === undefined || second === undefined) return first !== undefined;
  return !(first === 0 && second < 0x80) && !(first === 0xff && second >= 0x80);
}

/** The text of an object identifier's content. */
export function oidText(content: Uint8Array): string {
  // Else the last arc would be dropped, and one identifier pass for another.
  if (content.length === 0 || content.at(-1)! >= 0x80) throw malformed("an object identifier is cut short");
  let text = "";
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > 2 ** 40) throw malformed("an object identifier is too large");
    if (byte >= 0x80) continue;
    text += text === "" ? firstArcs(arc) : `.${arc}`;
    arc = 0;
  }
  return text;
}

/** The first two arcs are one number. */
function firstArcs(arc: number): string {
  const top = Math.min(2, Math.floor(arc / 40));
  return `${top}.${arc - 40 * top}`;
}

/** Whole bytes of a bit string's content. */
export function bits(content: Uint8Array): Uint8Array {
  if (content[0] !== 0) throw malformed("a bit string does not end on a byte");
  return content.subarray(1);
}

function malformed(why: string): MeshError {
  return new MeshError("invalid", `it is not well-formed DER: ${why}`);
}
