import { parseIp, whyNotEndpoint } from "../ip.ts";
import { isFields, type Fields } from "./fields.ts";

/** What a public key of each type has (RFC 7518 section 6, RFC 8037). */
const MEMBERS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["RSA", ["n", "e"]],
  ["EC", ["crv", "x", "y"]],
  ["OKP", ["crv", "x"]],
  ["oct", ["k"]],
]);
const KEYS_MAX = 100;

/** Why a key set that is written down checks nothing, or must not be there; undefined if it will do. */
export function whyNoKeys(text: string): string | undefined {
  const set = jsonOf(text);
  const keys: unknown = isFields(set) ? set["keys"] : undefined;
  if (!Array.isArray(keys)) return 'must be a JSON Web Key Set: {"keys": [{"kty": …}, …]}';
  if (keys.length > KEYS_MAX) return `holds ${keys.length} keys; at most ${KEYS_MAX} are taken`;
  if (keys.some((key) => isFields(key) && "d" in key))
    return "holds a private key. Take it out and make another; only public keys belong here";
  return keys.some((key) => isFields(key) && isKey(key))
    ? undefined
    : "holds no key of type RSA, EC, OKP or oct that is complete";
}

const isKey = (key: Fields): boolean =>
  MEMBERS.get(key["kty"])?.every((name) => typeof key[name] === "string" && key[name] !== "") ?? false;

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Names of a machine itself, and of what clouds tell their machines. */
const INNER_NAMES =
  /^(.*\.)?localhost$|^(localhost\.localdomain|ip6-localhost|ip6-loopback|metadata|metadata\.goog|metadata\.google\.internal|instance-data(\.ec2\.internal)?)$/;

/** Why keys are not fetched from a URL; undefined if they are. What a name leads to is not known here. */
export function whyNoKeysAt(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["https:", "http:"].includes(url.protocol) || url.hostname === "")
    return "must be a URL that begins with https:// or http://";
  if (url.username !== "" || url.password !== "") return "holds a password; keys are public, so give the URL without";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  const ip = parseIp(host);
  const inner =
    ip === undefined
      ? INNER_NAMES.test(host)
        ? "the proxy's own machine or its cloud"
        : undefined
      : whyNotEndpoint(ip);
  return inner === undefined ? undefined : `leads to ${host}, ${inner}; give a URL where the issuer has its keys`;
}
