import { parseDurationMs } from "../../duration.ts";
import type { TokenRule } from "../model/proxy-policies.ts";
import type { Unread } from "./authorization-policy.ts";
import {
  describe,
  FieldError,
  fieldsOf,
  isAbsent,
  isFields,
  listOf,
  textOf,
  textsOf,
  truthOf,
  type Fields,
} from "./fields.ts";
import { headerName } from "./route-filters.ts";
import { NOBODYS_KEYS, soundKeys, whyNoKeysAt } from "./token-keys.ts";

/** One rule, and why its keys were refused. */
export interface ReadToken {
  readonly rule: TokenRule;
  readonly refused: Unread | undefined;
}

const FIELDS: readonly string[] = [
  "issuer",
  "audiences",
  "jwks",
  "jwksUri",
  "jwks_uri",
  "fromHeaders",
  "fromParams",
  "fromCookies",
  "forwardOriginalToken",
  "outputPayloadToHeader",
  "outputClaimToHeaders",
  "spaceDelimitedClaims",
  "timeout",
];
export const ISSUER_MAX = 2_048;
const URL_MAX = 2_048;
const KEYS_MAX = 65_536;
const TIMEOUT_MS = 5_000;
const TIMEOUT_MAX_MS = 60_000;
/** Issuers announce new keys long before they sign with them. */
const REFRESH_MS = 300_000;

/** Upstream takes these apart without being asked. */
const SPACED: readonly string[] = ["scope", "permission"];

const NO_KEYS: TokenRule["keys"] = { kind: "inline", jwks: NOBODYS_KEYS };

/** Takes no token of the issuer: so none passes that nobody could check. */
export const refusedRule = (issuer: string): TokenRule => ({
  issuer,
  audiences: [],
  keys: NO_KEYS,
  fromHeaders: [],
  fromParams: [],
  fromCookies: [],
  forwardToken: false,
  payloadHeader: "",
  claimHeaders: [],
  spaceDelimitedClaims: SPACED,
});

/** One of `spec.jwtRules`. @throws FieldError for what cannot be read; what is read and cannot be used is `refused`. */
export function readTokenRule(item: unknown, field: string): ReadToken {
  if (!isFields(item)) throw new FieldError(field, `must be a map with issuer, and jwks or jwksUri`);
  const stranger = Object.keys(item).find((key) => !FIELDS.includes(key));
  if (stranger !== undefined)
    throw new FieldError(field, `has the field ${describe(stranger)}; only ${FIELDS.join(", ")} are known`);
  const issuer = textOf(item["issuer"], `${field}.issuer`, ISSUER_MAX);
  if (issuer === "") throw new FieldError(`${field}.issuer`, "is missing; give what tokens have in iss");
  const { keys, refused } = keysOf(item, field);
  const rule: TokenRule = {
    issuer,
    keys,
    audiences: textsOf(item["audiences"], `${field}.audiences`),
    fromHeaders: listOf(item["fromHeaders"], `${field}.fromHeaders`, 32).map((header, at) =>
      headerOf(header, `${field}.fromHeaders[${at}]`),
    ),
    fromParams: textsOf(item["fromParams"], `${field}.fromParams`),
    fromCookies: textsOf(item["fromCookies"], `${field}.fromCookies`),
    forwardToken: truthOf(item["forwardOriginalToken"], `${field}.forwardOriginalToken`) ?? false,
    payloadHeader: isAbsent(item["outputPayloadToHeader"])
      ? ""
      : headerName(item["outputPayloadToHeader"], `${field}.outputPayloadToHeader`),
    claimHeaders: listOf(item["outputClaimToHeaders"], `${field}.outputClaimToHeaders`, 100).map((pair, at) =>
      claimHeaderOf(pair, `${field}.outputClaimToHeaders[${at}]`),
    ),
    spaceDelimitedClaims: isAbsent(item["spaceDelimitedClaims"])
      ? SPACED
      : textsOf(item["spaceDelimitedClaims"], `${field}.spaceDelimitedClaims`),
  };
  return { rule, refused };
}

interface Keys {
  readonly keys: TokenRule["keys"];
  readonly refused: Unread | undefined;
}

function keysOf(item: Fields, field: string): Keys {
  const jwks = textOf(item["jwks"], `${field}.jwks`, KEYS_MAX).trim();
  const name = isAbsent(item["jwksUri"]) ? "jwks_uri" : "jwksUri";
  const url = textOf(item[name], `${field}.${name}`, URL_MAX).trim();
  const timeoutMs = timeoutOf(item["timeout"], `${field}.timeout`);
  const refused = (where: string, why: string): Keys => ({
    keys: NO_KEYS,
    refused: { field: where, message: `${why}; until this is fixed, no token of its issuer is taken` },
  });
  if (jwks !== "" && url !== "") return refused(field, "has both jwks and jwksUri; keep one of the two");
  if (jwks !== "") {
    const found = soundKeys(jwks);
    return "why" in found
      ? refused(`${field}.jwks`, found.why)
      : { keys: { kind: "inline", jwks: found.jwks }, refused: undefined };
  }
  if (url === "")
    return refused(
      field,
      "has neither jwks nor jwksUri, and the issuer is not asked here; give the jwks_uri of its .well-known/openid-configuration",
    );
  const why = whyNoKeysAt(url);
  return why === undefined
    ? { keys: { kind: "url", url: new URL(url).href, timeoutMs, refreshMs: REFRESH_MS }, refused: undefined }
    : refused(`${field}.${name}`, why);
}

function timeoutOf(value: unknown, field: string): number {
  const text = textOf(value, field, 40);
  if (text === "") return TIMEOUT_MS;
  const timeoutMs = parseDurationMs(text);
  if (timeoutMs === undefined || timeoutMs > TIMEOUT_MAX_MS)
    throw new FieldError(field, `is ${describe(text)}; give a duration up to 60s, as 5s`);
  return timeoutMs;
}

function headerOf(value: unknown, field: string): TokenRule["fromHeaders"][number] {
  const header = fieldsOf(value, field);
  return {
    name: headerName(header["name"], `${field}.name`),
    prefix: textOf(header["prefix"], `${field}.prefix`, 256),
  };
}

function claimHeaderOf(value: unknown, field: string): TokenRule["claimHeaders"][number] {
  const pair = fieldsOf(value, field);
  const claim = textOf(pair["claim"], `${field}.claim`, 256);
  if (claim === "") throw new FieldError(`${field}.claim`, "is missing; name a claim of the token");
  return { header: headerName(pair["header"], `${field}.header`), claim };
}
