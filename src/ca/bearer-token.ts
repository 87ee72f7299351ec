import { MeshError } from "../errors.ts";

/** A Kubernetes token has 1 to 2 kB. */
const TOKEN_CHARACTERS_MAX = 16 * 1024;
/** Three parts in base64url, none of them empty: an unsigned token has no third. */
const COMPACT_JWS = /^([\w-]+)\.([\w-]+)\.[\w-]+$/;
/** What API servers sign with. Nothing symmetric: whoever can verify that, can sign it. */
const ALGORITHMS = /^((RS|PS|ES)(256|384|512)|EdDSA)$/;

/** @throws MeshError `unauthenticated` if there is none. */
export function bearerToken(authorization: string | undefined): string {
  const [, token] = /^Bearer ([\x21-\x7e]+)$/.exec(authorization ?? "") ?? [];
  if (token === undefined) throw new MeshError("unauthenticated", "the request carries no bearer token");
  if (token.length <= TOKEN_CHARACTERS_MAX) return token;
  throw new MeshError("unauthenticated", `the token has over ${TOKEN_CHARACTERS_MAX} characters`);
}

export type Claims = Readonly<Record<string, unknown>>;

/**
 * What a token says of itself. Nothing of it is proven before its issuer, or an API server, has verified it.
 * @throws MeshError `unauthenticated` if it is no signed JWT.
 */
export function unprovenClaims(token: string): Claims {
  const [, header, payload] = COMPACT_JWS.exec(token) ?? [];
  if (header === undefined || payload === undefined)
    throw new MeshError("unauthenticated", "the token is no signed JWT: that has three parts in base64url");
  const { alg } = decodePart(header, "header");
  if (typeof alg !== "string" || !ALGORITHMS.test(alg))
    throw new MeshError("unauthenticated", "the token is not signed in a way that API servers sign");
  return decodePart(payload, "payload");
}

function decodePart(part: string, name: string): Claims {
  try {
    const value = JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as unknown;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return value as Claims;
  } catch {
    // As below: what the parser says of a forged token helps nobody.
  }
  throw new MeshError("unauthenticated", `the token's ${name} is no JSON object`);
}
