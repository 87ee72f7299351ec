import type { EpochMs } from "../../host.ts";
import type { KubeObject } from "../../kube/object.ts";
import { type Condition, conditionsOf, statusOf } from "./conditions.ts";

/** Where a CertificateRequest is: what cert-manager documents of its conditions. */
export type RequestState =
  /** In PEM, as they came; `ca` is empty where the issuer does not say. */
  | { readonly is: "issued"; readonly certificate: string; readonly ca: string }
  /** For good: cert-manager never looks at it again. `at` is undefined if nobody says when. */
  | {
      readonly is: "denied" | "invalid" | "failed";
      readonly why: string;
      readonly at: EpochMs | undefined;
    }
  | { readonly is: "waiting"; readonly why: string };

export function requestState(object: KubeObject): RequestState {
  const conditions = conditionsOf(object);
  const [denied, invalid, approved, ready] = ["Denied", "InvalidRequest", "Approved", "Ready"].map((type) =>
    conditions.get(type),
  );
  const over = (is: "denied" | "invalid" | "failed", { reason, message }: Condition): RequestState => ({
    is,
    why: message || reason || "it does not say why",
    at: endedAt(object),
  });
  if (denied?.status === "True") return over("denied", denied);
  if (invalid?.status === "True") return over("invalid", invalid);
  if (ready?.status === "True") return issued(object);
  if (ready?.reason === "Denied") return over("denied", ready);
  if (ready?.reason === "Failed") return over("failed", ready);
  if (approved?.status !== "True")
    return { is: "waiting", why: "waits for approval, which cert-manager's own approver or a policy's gives" };
  return { is: "waiting", why: `waits for its issuer: ${ready?.message || "which has not looked at it yet"}` };
}

function issued(object: KubeObject): RequestState {
  const { certificate, ca } = statusOf(object);
  if (typeof certificate !== "string" || certificate === "")
    return { is: "waiting", why: "is Ready, and has no certificate in its status" };
  return { is: "issued", certificate: decoded(certificate), ca: typeof ca === "string" ? decoded(ca) : "" };
}

function endedAt(object: KubeObject): EpochMs | undefined {
  const { failureTime } = statusOf(object);
  const at = Date.parse(String(failureTime ?? object.metadata.creationTimestamp));
  return Number.isNaN(at) ? undefined : at;
}

const decoded = (base64: string): string => Buffer.from(base64, "base64").toString("utf8");
