import { createHash, createPublicKey, type JsonWebKey } from "node:crypto";
import { parseIp, whyNotEndpoint } from "../ip.ts";
import { isFields, type Fields } from "./fields.ts";

/** Keys as text that a proxy takes, or why there are none. */
export type SoundKeys = { readonly jwks: string } | { readonly why: string };

const KEYS_MAX = 100;

/**
 * A key set that is written down. A proxy that is given one without a key that it can use takes nothing of what comes
 * with it, so such keys are left out, and a set of none is refused.
 */
export function soundKeys(text: string): SoundKeys {
  const set = jsonOf(text);
  const keys: unknown = isFields(set) ? set["keys"] : undefined;
  if (!Array.isArray(keys)) return { why: 'must be a JSON Web Key Set: {"keys": [{"kty": …}, …]}' };
  if (keys.length > KEYS_MAX) return { why: `holds ${keys.length} keys; at most ${KEYS_MAX} are taken` };
  if (keys.some((key) => isFields(key) && "d" in key))
    return { why: "holds a private key. Take it out and make another; only public keys belong here" };
  const sound = keys
    .filter(isFields)
    .map(soundKey)
    .filter((key) => key !== undefined);
  return sound.length > 0
    ? { jwks: JSON.stringify({ keys: sound }) }
    : {
        why: "holds no key to check signatures with: RSA of 2048 to 8192 bits, EC of P-256, P-384 or P-521, Ed25519, or oct",
      };
}

/** A point of which nobody can know the secret, since it was not made of one: what is to be signed with it never will be. */
const NOBODYS_POINT = createHash("sha256").update("causeway: nobody has the key to this").digest("base64url");
/** Takes no token. */
export const NOBODYS_KEYS = JSON.stringify({ keys: [{ kty: "OKP", crv: "Ed25519", x: NOBODYS_POINT }] });

/** What a key of each type is made of (RFC 7518 section 6, RFC 8037), and what it signs with. */
const TYPES: ReadonlyMap<unknown, { readonly members: readonly string[]; readonly signs: RegExp }> = new Map([
  ["RSA", { members: ["n", "e"], signs: /^[RP]S(256|384|512)$/ }],
  ["EC P-256", { members: ["crv", "x", "y"], signs: /^ES256$/ }],
  ["EC P-384", { members: ["crv", "x", "y"], signs: /^ES384$/ }],
  ["EC P-521", { members: ["crv", "x", "y"], signs: /^ES512$/ }],
  ["OKP Ed25519", { members: ["crv", "x"], signs: /^EdDSA$/ }],
  ["oct", { members: ["k"], signs: /^HS(256|384|512)$/ }],
]);

/** The key and no more; undefined if it checks nothing. */
function soundKey(key: Fields): Readonly<Record<string, string>> | undefined {
  const { kty, crv, alg, kid, use } = key;
  const type = TYPES.get(typeof crv === "string" ? `${String(kty)} ${crv}` : kty);
  if (type === undefined || typeof kty !== "string" || (use !== undefined && use !== "sig")) return undefined;
  if (alg !== undefined && (typeof alg !== "string" || !type.signs.test(alg))) return undefined;
  const members = type.members.map((name) => [name, key[name]] as const);
  const isText = members.every(([, value]) => typeof value === "string" && /^[A-Za-z0-9_-]+$/.test(value));
  const sound = { kty, ...(Object.fromEntries(members) as Readonly<Record<string, string>>) };
  if (!isText || (kty !== "oct" && !isPublicKey(sound))) return undefined;
  return { ...sound, ...(typeof alg === "string" && { alg }), ...(typeof kid === "string" && { kid }) };
}

function isPublicKey(key: JsonWebKey): boolean {
  try {
    const { modulusLength = 2_048 } = createPublicKey({ key, format: "jwk" }).asymmetricKeyDetails ?? {};
    return modulusLength >= 2_048 && modulusLength <= 8_192;
  } catch {
    return false;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Names of a machine itself, and of what clouds tell their machines. */
const INNER_NAMES: readonly RegExp[] = [
  /^(.*\.)?localhost(\.localdomain)?$/,
  /^ip6-(localhost|loopback)$/,
  /^metadata(\.goog|\.google\.internal)?$/,
  /^instance-data(\.ec2\.internal)?$/,
];

/** Why keys are not fetched from a URL; undefined if they are. What a name leads to is not known here. */
export function whyNoKeysAt(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["https:", "http:"].includes(url.protocol) || url.hostname === "")
    return "must be a URL that begins with https:// or http://";
  if (url.username !== "" || url.password !== "") return "holds a password; keys are public, so give the URL without";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  const ip = parseIp(host);
  const isInner = INNER_NAMES.some((name) => name.test(host));
  const inner = ip === undefined ? isInner && "the proxy's own machine or its cloud" : whyNotEndpoint(ip);
  return inner ? `leads to ${host}, ${inner}; give a URL where the issuer has its keys` : undefined;
}
