import { table } from "../commands/table.ts";
import type { TrustView } from "../manager/view.ts";

/** What each cluster signs with, and under which root, as it said itself. */
export const trustTable = ({ clusters }: TrustView): string =>
  table(
    ["CLUSTER", "STATE", "SIGNS UNDER ROOT", "ISSUER", "UNTIL"],
    clusters.map(({ cluster, state, signingRoot, issuer, notAfter }) => [
      cluster,
      state,
      signingRoot?.slice(0, 8) ?? "none",
      issuer,
      notAfter === undefined ? "" : new Date(notAfter).toISOString().slice(0, 10),
    ]),
  );

/** Who was turned away by the trust manager, and why; each reason once. */
export const refusedText = ({ refused }: TrustView): string =>
  [...new Set(refused.map(({ cluster, why }) => `${cluster} called and was refused: ${why}`))].join("\n");
