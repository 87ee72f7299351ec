import { MeshError, messageOf } from "../../errors.ts";
import { printable } from "../../printable.ts";

/** What was asked of Vault, for messages. */
export interface Asked {
  readonly method: "GET" | "POST";
  /** Without `/v1/`. */
  readonly path: string;
  /** What makes Vault refuse what is well written, and how that is mended. */
  readonly refusals: readonly Refusal[];
  /** What has to be so if Vault says 403, and 404. */
  readonly onDenied: string;
  readonly onAbsent: string;
}

/** Of the errors of a 400 or a 500. */
export interface Refusal {
  readonly says: RegExp;
  readonly fix: string;
}

/** Vault's own words, for whoever knows Vault. */
const ERRORS_MAX = 3;
const ERROR_CHARACTERS_MAX = 300;

const wordsOf = (errors: readonly string[]): string => {
  const words = errors
    .slice(0, ERRORS_MAX)
    .map((error) => printable(error.replace(/\s+/g, " ").trim(), ERROR_CHARACTERS_MAX));
  return words.length === 0 ? "" : ` (${words.join("; ")})`;
};

/** What an answer means that is neither 200 nor 204. @param vault as `Vault https://vault.internal:8200`. */
export function failureOf(vault: string, asked: Asked, status: number, errors: readonly string[]): MeshError {
  const said = `${vault} answers ${asked.method} ${asked.path} with ${status}${wordsOf(errors)}`;
  const fail = (code: MeshError["code"], what: string): MeshError =>
    new MeshError(code, `${said}: ${what}`, { status });
  // OpenBao answers some of what it will not do with 500.
  const known = asked.refusals.find(({ says }) => errors.some((error) => says.test(error)));
  if (known !== undefined && (status === 400 || status === 500)) return fail("denied", known.fix);
  if (status === 400) return fail("denied", "it does not take what was asked; what it says tells which part");
  if (status === 403) return fail("denied", asked.onDenied);
  if (status === 404) return fail("absent", asked.onAbsent);
  if (status === 405)
    return fail("invalid", "what is mounted there is not what the policy takes it for; correct the path");
  if (status === 429)
    return fail("unavailable", "it is asked too often, by a quota of its own; it is asked again later");
  if (status === 472 || status === 473)
    return fail("unavailable", "it is a standby of another; name the active one as server");
  if (status >= 500) return fail("unavailable", "it cannot answer now; its own log says why. It is asked again later");
  return fail(
    "invalid",
    "this is no answer of Vault's; check that server is Vault itself, not a proxy or another service",
  );
}

/** What `GET sys/seal-status` tells of a Vault that answers 503. */
export interface SealStatus {
  readonly initialized: boolean;
  readonly sealed: boolean;
  /** Key shares given, and needed. */
  readonly progress: number;
  readonly threshold: number;
}

export function closedVault(vault: string, seal: SealStatus | undefined, errors: readonly string[]): MeshError {
  return new MeshError("unavailable", `${vault} ${whyClosed(seal, errors)}`, { status: 503 });
}

function whyClosed(seal: SealStatus | undefined, errors: readonly string[]): string {
  const then = "nothing has to be restarted here, as it is asked again";
  if (seal !== undefined && !seal.initialized)
    return `is not initialised${wordsOf(errors)}: run \`vault operator init\` and unseal it; ${then}`;
  if (seal?.sealed === true || errors.some((error) => /\bsealed\b/.test(error))) {
    const shares = seal === undefined ? "" : `; ${seal.progress} of ${seal.threshold} key shares are given`;
    return `is sealed${wordsOf(errors)}${shares}: unseal it with \`vault operator unseal\`; ${then}`;
  }
  return `cannot serve now${wordsOf(errors)}: it may be a standby whose active node is gone; see \`vault status\`; ${then}`;
}

const UNVERIFIED =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID|INVALID_CA|PATH_LENGTH_EXCEEDED)/;

/** Why no answer came, by what the system says. */
export function unreached(vault: string, asked: Pick<Asked, "method" | "path">, thrown: unknown): MeshError {
  if (thrown instanceof MeshError) return thrown;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  const why = printable(messageOf(thrown).replace(/\s+/g, " ").trim(), ERROR_CHARACTERS_MAX);
  const said = `${vault} cannot be asked ${asked.method} ${asked.path}: ${why}`;
  const fail = (kind: MeshError["code"], what: string): MeshError =>
    new MeshError(kind, `${said}${what}`, {}, { cause: thrown });
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return fail("invalid", "; server must be a name that is in Vault's certificate");
  if (code === "CERT_HAS_EXPIRED") return fail("invalid", "; give Vault a new certificate, and check the clocks");
  if (UNVERIFIED.test(code))
    return fail(
      "invalid",
      "; put the certificate that issued Vault's own into caBundle, or the Secret of caSecretRef: without it the roots of this machine count",
    );
  if (/WRONG_VERSION_NUMBER|EPROTO/.test(code))
    return fail("invalid", "; no TLS is spoken there: check host and port of server");
  if (code === "ENOTFOUND") return fail("unavailable", "; check the host of server, and our DNS");
  return fail("unavailable", "; it is asked again");
}
