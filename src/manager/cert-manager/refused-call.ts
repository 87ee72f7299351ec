import { MeshError } from "../../errors.ts";

/** @param words of the API server, which name the account, the verb and the resource. */
export const refusedCall = (what: string, words: string): MeshError =>
  new MeshError(
    "invalid",
    `${what}: the trust manager's service account has not the right to it; set certManager.enabled of its chart, or apply deploy/rbac/trust-cert-manager.yaml (${words})`,
  );

export const absentGroup = (server: string): MeshError =>
  new MeshError(
    "absent",
    `cert-manager is not installed where the trust manager runs: ${server} serves no kinds of cert-manager.io; install it there, or name another source of authorities in the policy`,
  );
