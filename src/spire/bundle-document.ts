import { X509Certificate } from "node:crypto";
import { pathLength, uriNames } from "../ca/certificate-fields.ts";
import { type OpenedCertificate, openedCertificate } from "../ca/path.ts";
import { distinctRoots } from "../ca/trust-bundles.ts";
import { MeshError, messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { type Json, type JsonObject, parseStrictJson } from "./strict-json.ts";

/** What a trust domain says of itself at its bundle endpoint (contract identity.md 2.5). */
export interface BundleDocument {
  /** In DER, each once; none if the trust domain is not to be trusted any more. */
  readonly authorities: readonly Uint8Array[];
  /** Grows with each change; unsigned, of 64 bits. Undefined if it does not say. */
  readonly sequence: bigint | undefined;
  /** How soon readers should look again; undefined if it does not say. */
  readonly refreshHintSeconds: number | undefined;
  /** What was passed over, or is not as it should be. */
  readonly notes: readonly string[];
}

const KEYS_MAX = 256;
const SEQUENCE_MAX = 2n ** 64n - 1n;
const HINT_SECONDS_MAX = 10n * 365n * 86_400n;
const KEY_TYPES: ReadonlySet<Json | undefined> = new Set(["EC", "RSA", "OKP"]);
const X509_USE = "x509-svid";
const JWT_USE = "jwt-svid";
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Keys of a use or kind that nobody knows are passed over, as the standard has it. An authority that cannot be read costs
 * the whole document, as passing it over would end the trust in all that it has signed.
 * @param trustDomains whose it is to be: an authority that names another one refuses the document.
 * @throws MeshError `invalid`, saying which key is wrong and how.
 */
export function parseBundleDocument(text: string, trustDomains: readonly string[]): BundleDocument {
  const document = parseStrictJson(text);
  if (!isObject(document)) throw invalid("it is no JSON object");
  const keys = document.get("keys");
  if (!Array.isArray(keys)) throw invalid("it has no list of keys, so it is no bundle of SPIFFE");
  if (keys.length > KEYS_MAX) throw invalid(`it has ${keys.length} keys; ${KEYS_MAX} is the most`);
  const notes: string[] = [];
  const found = keys.flatMap((key: Json, at) => authorityOf(key, `keys[${at}]`, trustDomains, notes));
  return {
    authorities: distinctRoots(found),
    sequence: wholeOf(document, "spiffe_sequence", SEQUENCE_MAX),
    refreshHintSeconds: hintOf(document),
    notes,
  };
}

export interface WrittenBundle {
  readonly authorities: readonly Uint8Array[];
  readonly sequence: bigint;
  readonly refreshHintSeconds: number;
}

/** Keys of one kind with one certificate each: SPIRE refuses a document that has others (contract identity.md 1.6). */
export function writeBundleDocument({ authorities, sequence, refreshHintSeconds }: WrittenBundle): string {
  const keys = authorities.map((der) => ({
    use: X509_USE,
    ...new X509Certificate(der).publicKey.export({ format: "jwk" }),
    x5c: [Buffer.from(der).toString("base64")],
  }));
  // As text, as a number of JavaScript has 53 bits.
  const rest = JSON.stringify({ spiffe_refresh_hint: refreshHintSeconds, keys });
  return `{"spiffe_sequence":${sequence},${rest.slice(1)}\n`;
}

function authorityOf(key: Json, field: string, trustDomains: readonly string[], notes: string[]): Uint8Array[] {
  if (!isObject(key)) throw invalid(`${field} is no object`);
  const [use, kind] = [key.get("use"), key.get("kty")];
  if (use === JWT_USE) return [];
  if (use !== X509_USE || !KEY_TYPES.has(kind)) {
    notes.push(`${field} is passed over, as its use is ${shown(use)} and its kty ${shown(kind)}`);
    return [];
  }
  if (key.has("kid")) notes.push(`${field} has a kid, which only keys for tokens have`);
  const [first, ...more] = listIn(key, "x5c", field);
  if (more.length > 0) notes.push(`${field}.x5c has ${more.length + 1} certificates, of which the first counts`);
  return [readAuthority(first, `${field}.x5c[0]`, trustDomains)];
}

function readAuthority(value: Json | undefined, field: string, trustDomains: readonly string[]): Uint8Array {
  if (typeof value !== "string" || !BASE64.test(value)) throw invalid(`${field} is no certificate in base64`);
  const der = Buffer.from(value, "base64");
  const opened = openedAt(der, field);
  if (!pathLength(opened.fields).ca) throw invalid(`${field} is no authority's certificate (CA:TRUE)`);
  const ids = uriNames(opened.fields).filter((uri) => uri.startsWith("spiffe://"));
  const foreign = ids.find((id) => !trustDomains.some((name) => isOf(name, id)));
  if (foreign === undefined) return der;
  throw invalid(
    `${field} is the authority of ${printable(foreign, 120)}, so this is the bundle of another trust domain`,
  );
}

function openedAt(der: Uint8Array, field: string): OpenedCertificate {
  try {
    return openedCertificate(der);
  } catch (thrown) {
    throw invalid(`${field} is no certificate: ${messageOf(thrown)}`);
  }
}

const isOf = (trustDomain: string, id: string): boolean =>
  id === `spiffe://${trustDomain}` || id.startsWith(`spiffe://${trustDomain}/`);

function hintOf(document: JsonObject): number | undefined {
  const seconds = wholeOf(document, "spiffe_refresh_hint", HINT_SECONDS_MAX);
  return seconds === undefined ? undefined : Number(seconds);
}

function wholeOf(document: JsonObject, name: string, max: bigint): bigint | undefined {
  const value = document.get(name);
  if (value === undefined) return undefined;
  if (typeof value === "bigint" && value >= 0n && value <= max) return value;
  throw invalid(`${name} is ${shown(value)}, which is no whole number from 0 to ${max}`);
}

function listIn(key: JsonObject, name: string, field: string): readonly Json[] {
  const list = key.get(name);
  if (Array.isArray(list) && list.length > 0) return list;
  throw invalid(`${field} has no certificate in ${name}`);
}

const isObject = (value: Json): value is JsonObject => value instanceof Map;
const invalid = (why: string): MeshError => new MeshError("invalid", why);

function shown(value: Json | undefined): string {
  if (typeof value === "string") return `"${printable(value, 80)}"`;
  return typeof value === "object" && value !== null ? "no text" : String(value ?? "missing");
}
