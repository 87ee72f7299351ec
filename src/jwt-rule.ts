import { MeshError } from "./errors.ts";
import { printable } from "./printable.ts";

/** Where the keys of an issuer are. */
export type JwtKeys =
  /** Written down. */
  | { readonly kind: "set"; readonly keys: readonly JsonKey[] }
  /** At an https URL. */
  | { readonly kind: "url"; readonly url: string }
  /** Where the issuer's own OpenID configuration says. */
  | { readonly kind: "discovery" };

/** A public key (RFC 7517); what signs is looked at when it is used. */
export type JsonKey = Readonly<Record<string, unknown>> & { readonly kty: string };

/** Whose tokens show service accounts, for callers that no API server knows. */
export interface JwtRule {
  /** As tokens have it in `iss`, to the letter. */
  readonly issuer: string;
  /** At least one; a token must be for one of them. */
  readonly audiences: readonly string[];
  readonly keys: JwtKeys;
}

const TEXT_MAX = 2048;
const LIST_MAX = 100;
const FIELDS = ["issuer", "audiences", "jwksUri", "jwks_uri", "jwks"];

/**
 * Reads a rule in the words of Istio's JWTRule.
 * @param name of what holds it, as `mesh.jwtRules[0]`.
 * @throws MeshError `invalid`, its detail's `field` the field, its message what is wrong with that and what would be right.
 */
export function parseJwtRule(value: unknown, name: string): JwtRule {
  if (!isMap(value)) throw wrong(name, "must be a map with issuer, audiences, and jwksUri or jwks");
  const stranger = Object.keys(value).find((key) => !FIELDS.includes(key));
  if (stranger !== undefined)
    throw wrong(`${name}.${printable(stranger, 80)}`, "is not read here; use issuer, audiences, jwksUri and jwks only");
  const { issuer, audiences, jwksUri, jwks_uri: snake, jwks } = value;
  const url = jwksUri ?? snake;
  if (!isText(issuer)) throw wrong(`${name}.issuer`, "is missing; give what tokens have in iss");
  if (!isList(audiences) || audiences.length === 0 || !audiences.every(isText))
    throw wrong(
      `${name}.audiences`,
      "must be a list with at least one audience, as istio-ca: a token for others must not be good here",
    );
  if (isThere(url) && isThere(jwks)) throw wrong(name, "has both jwksUri and jwks; keep one of the two");
  return { issuer, audiences, keys: keysOf(issuer, url, jwks, name) };
}

function keysOf(issuer: string, url: unknown, jwks: unknown, name: string): JwtKeys {
  if (isThere(jwks)) return { kind: "set", keys: parseKeySet(jwks, `${name}.jwks`) };
  if (isThere(url)) {
    if (!isHttps(url)) throw wrong(`${name}.jwksUri`, "must be a URL that begins with https://");
    return { kind: "url", url };
  }
  if (!isHttps(issuer))
    throw wrong(
      name,
      "has neither jwksUri nor jwks, and its issuer is no https:// URL that could tell; give one of them",
    );
  return { kind: "discovery" };
}

/** @param value the key set, or its JSON. @throws MeshError `invalid`, as `parseJwtRule`. */
export function parseKeySet(value: unknown, name: string): readonly JsonKey[] {
  const set = typeof value === "string" ? jsonOf(value, name) : value;
  const keys = isMap(set) ? set["keys"] : undefined;
  if (!isList(keys) || !keys.every(isKey)) throw wrong(name, 'must be a JSON Web Key Set: {"keys": [{"kty": …}, …]}');
  const secret = keys.find((key) => key.kty === "oct" || "d" in key);
  if (secret !== undefined)
    throw wrong(name, "holds a secret key. Take it out and make another; only public keys belong here");
  return keys;
}

function jsonOf(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw wrong(name, "is no JSON");
  }
}

export const isHttps = (value: unknown): value is string =>
  isText(value) && URL.canParse(value) && new URL(value).protocol === "https:" && new URL(value).username === "";
const isThere = (value: unknown): boolean => value !== undefined && value !== null && value !== "";
const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= TEXT_MAX;
const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value) && value.length <= LIST_MAX;
const isKey = (value: unknown): value is JsonKey => isMap(value) && isText(value["kty"]);

const wrong = (field: string, message: string): MeshError => new MeshError("invalid", message, { field });
