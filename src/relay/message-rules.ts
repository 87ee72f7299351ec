import { readCertificate } from "../ca/certificate-fields.ts";
import { isKeyType, type KeyType } from "../ca/key-type.ts";
import { type ErrorCode, MeshError, messageOf } from "../errors.ts";
import { type ClusterId, isClusterId } from "../names.ts";
import { onlyPemBlock } from "../pem.ts";
import { printable } from "../printable.ts";
import { isTrustDomain } from "../spiffe.ts";
import type { Fingerprint } from "./messages.ts";

const YEAR_MS = 365 * 86_400_000;

/** What bounds the messages of the relay, in both directions. */
export const RELAY_LIMITS = {
  /** Of Enroll and Renew, which anybody may send: a token and a request for a key of RSA 4096. */
  requestBytes: 32 * 1024,
  /** Of one message of a cluster: a report with all its roots and sentences. */
  clusterMessageBytes: 1024 * 1024,
  /** Of one message of the manager: an order with the bounds of a thousand clusters. */
  managerMessageBytes: 4 * 1024 * 1024,
  /** RSA 4096 with many names has some 3 kB. */
  certificateBytes: 16 * 1024,
  /** As of a bundle that workloads mount; a mesh has one or two, and three while it changes. */
  roots: 64,
  /** An intermediate and the six authorities that ztunnel takes above it (contract identity.md 2.3). */
  chain: 8,
  /** Characters of one sentence; a longer one is cut. */
  textCharacters: 2_000,
  /** Sentences of one kind in a report; of more, the last says how many were left out. */
  texts: 100,
  bounds: 2_000,
  /** Namespaces and services of all bounds of an order, and their scopes. */
  boundNames: 100_000,
} as const;

const ERROR_CODES: Readonly<Record<ErrorCode, true>> = {
  invalid: true,
  unauthenticated: true,
  denied: true,
  absent: true,
  conflict: true,
  unavailable: true,
  timeout: true,
  exhausted: true,
  unsupported: true,
  internal: true,
};

/** What each field of a message must hold. All throw MeshError `invalid`, naming the field. */
export const field = {
  cluster: (value: string): ClusterId =>
    isClusterId(value) ? value : refuse("cluster", `${shown(value)} is no name of a cluster`),

  /** Of a request or an order: printed in logs, so one word. */
  word(name: string, value: string): string {
    return /^[\x21-\x7e]{1,128}$/.test(value) ? value : refuse(name, `${shown(value)} is not one word of 1 to 128`);
  },

  wordOrNone: (name: string, value: string): string => (value === "" ? "" : field.word(name, value)),

  /** A namespace, or a service as grants write them. */
  boundName(name: string, value: string): string {
    return /^[\x21-\x7e]{1,512}$/.test(value) ? value : refuse(name, `${shown(value)} is no name`);
  },

  trustDomain: (value: string): string =>
    isTrustDomain(value) ? value : refuse("trust_domain", `${shown(value)} is no trust domain`),

  /** A part of a subject (RFC 5280, appendix A: 64 characters at most). */
  nameAttribute(name: string, value: string): string {
    const fits = value.length > 0 && [...value].length <= 64 && printable(value, 200) === value;
    return fits ? value : refuse(name, `${shown(value)} is not 1 to 64 printable characters`);
  },

  keyType: (value: string): KeyType =>
    isKeyType(value) ? value : refuse("key_type", `${shown(value)} is none that is known here`),

  code: (value: string): ErrorCode =>
    Object.hasOwn(ERROR_CODES, value) ? (value as ErrorCode) : refuse("code", `${shown(value)} is none`),

  /** Undefined is written as nothing. */
  fingerprint(name: string, value: string | undefined): Fingerprint | undefined {
    if (value === undefined || value === "") return undefined;
    return /^[0-9a-f]{64}$/.test(value) ? value : refuse(name, `${shown(value)} is no SHA-256 in lower case hex`);
  },

  whole(name: string, value: number, min: number, max: number): number {
    const fits = Number.isSafeInteger(value) && value >= min && value <= max;
    return fits ? value : refuse(name, `${value} is not a whole number from ${min} to ${max}`);
  },

  /** Wall time, before the year 10000. */
  clock: (value: number): number => field.whole("clock_ms", value, 0, 253_402_300_799_000),

  /** A time span of at most a hundred years. */
  span: (name: string, value: number, min: number): number => field.whole(name, value, min, 100 * YEAR_MS),

  ratio: (value: number): number =>
    value > 0 && value < 1 ? value : refuse("grace_ratio", `${value} is not between 0 and 1`),

  /** A certificate in DER and nothing else: what is none of a certificate, as a key, does not travel. */
  certificate(name: string, value: Uint8Array): Uint8Array {
    const { certificateBytes: max } = RELAY_LIMITS;
    if (value.length > max) return refuse(name, `one has ${value.length} bytes; ${max} is the most`);
    return reading(name, () => (readCertificate(value), value));
  },

  certificates(name: string, values: readonly Uint8Array[], max: number): readonly Uint8Array[] {
    return upTo(max, name, values).map((value) => field.certificate(name, value));
  },

  certificatePem(name: string, value: string): string {
    if (value.length > 2 * RELAY_LIMITS.certificateBytes) return refuse(name, `one has ${value.length} characters`);
    return reading(name, () => (readCertificate(onlyPemBlock(value, "CERTIFICATE")), value));
  },

  /** Only its frame: whose key it is, and what it asks for, is seen where it is signed. */
  csr(value: string): string {
    const { certificateBytes: max } = RELAY_LIMITS;
    if (value.length > max) return refuse("csr", `it has ${value.length} characters; ${max} is the most`);
    return reading("csr", () => (onlyPemBlock(value, "CERTIFICATE REQUEST"), value));
  },

  token: (value: string): string =>
    value.length > 0 && value.length <= 1024 ? value : refuse("token", `it has ${value.length} characters`),

  /** For people: cut, and fit for a log or a terminal, whoever wrote it. */
  text: (value: string): string => printable(value, RELAY_LIMITS.textCharacters),

  texts(values: readonly string[]): readonly string[] {
    const { texts: max } = RELAY_LIMITS;
    const kept = values.length > max ? values.slice(0, max - 1) : values;
    const left = values.length - kept.length;
    return [...kept.map(field.text), ...(left > 0 ? [`and ${left} more`] : [])];
  },
} as const;

/** @throws MeshError `invalid` if there are more. */
export function upTo<T>(max: number, name: string, values: readonly T[]): readonly T[] {
  return values.length <= max ? values : refuse(name, `there are ${values.length}; ${max} is the most`);
}

export function refuse(name: string, why: string): never {
  throw new MeshError("invalid", `${name}: ${why}`);
}

function reading<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    return refuse(name, messageOf(thrown));
  }
}

const shown = (value: string): string => JSON.stringify(printable(value, 80));
