import { readFile } from "node:fs/promises";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs } from "../host.ts";
import { printable } from "../printable.ts";

/** Our own token, as the kubelet projects it into the pod. Only what it says of itself is read: the CA verifies it. */
export interface ServiceAccountToken {
  readonly text: string;
  /** Undefined if it is no token of a Kubernetes service account. */
  readonly account: { readonly namespace: string; readonly serviceAccount: string } | undefined;
  readonly expiresAt: EpochMs | undefined;
}

/**
 * Read again for each request: the kubelet replaces it before it ends.
 * @throws MeshError `absent` or `invalid`, with what to look at in the pod.
 */
export async function readToken(path: string): Promise<ServiceAccountToken> {
  const text = (await readFile(path, "utf8").catch((thrown: unknown) => refuse(path, thrown))).trim();
  const mount = "mount a projected volume with a serviceAccountToken for audience istio-ca there";
  if (text === "") throw new MeshError("invalid", `the token file ${path} is empty: ${mount}`);
  if (!/^[\x21-\x7e]+$/.test(text))
    throw new MeshError("invalid", `${path} holds something that is no token: ${mount}`);
  const claims = claimsOf(text);
  const [, namespace, serviceAccount] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(claims["sub"])) ?? [];
  const exp = claims["exp"];
  return {
    text,
    account: namespace === undefined ? undefined : { namespace, serviceAccount: serviceAccount! },
    expiresAt: typeof exp === "number" ? exp * 1000 : undefined,
  };
}

function refuse(path: string, thrown: unknown): never {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  const why =
    code === "ENOENT"
      ? "mount a projected volume with a serviceAccountToken for audience istio-ca there, or name the file with --token"
      : messageOf(thrown);
  throw new MeshError("absent", `there is no token at ${path}: ${why}`, {}, { cause: thrown });
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** What to add to a refusal of the CA: the likely cause, if the token shows one. */
export function tokenHint(token: ServiceAccountToken, path: string, now: EpochMs): string {
  const { expiresAt, account } = token;
  if (expiresAt !== undefined && expiresAt <= now)
    return `; the token in ${path} ended at ${new Date(expiresAt).toISOString()}: look why the kubelet does not renew it`;
  const whose = account === undefined ? "no service account" : `${account.namespace}/${account.serviceAccount}`;
  return `; the token in ${path} is of ${printable(whose, 300)}`;
}
