import { X509Certificate } from "node:crypto";
import type { EpochMs, Gauge, Metrics } from "../host.ts";
import type { AuthorityFault } from "./authority-keeper.ts";
import { CRL_FILE } from "./crl-check.ts";
import type { RevocationList } from "./crl.ts";
import { Revocations } from "./revocations.ts";

/** What each list in force says, by who issued it. */
export class ListGauges {
  readonly #nextUpdate: Gauge;
  readonly #revoked: Gauge;
  #shown: readonly string[] = [];

  constructor(metrics: Metrics) {
    this.#nextUpdate = metrics.gauge(
      "crl_next_update_timestamp_seconds",
      "When the next revocation list of an issuer is due, in Unix seconds.",
      ["issuer"],
    );
    this.#revoked = metrics.gauge("crl_revoked_certificates", "Certificates that an issuer has revoked.", ["issuer"]);
  }

  show(lists: readonly RevocationList[]): void {
    for (const issuer of this.#shown) {
      this.#nextUpdate.remove({ issuer });
      this.#revoked.remove({ issuer });
    }
    for (const { issuerName: issuer, nextUpdate, revoked } of lists) {
      this.#revoked.set(revoked.size, { issuer });
      if (nextUpdate !== undefined) this.#nextUpdate.set(Math.floor(nextUpdate / 1000), { issuer });
    }
    this.#shown = lists.map(({ issuerName }) => issuerName);
  }
}

/** Lists whose successor is late. They stay in force: what they revoke stays revoked, and nobody else is refused. */
export function overdueLists(lists: readonly RevocationList[], now: EpochMs): readonly AuthorityFault[] {
  return lists.flatMap(({ issuerName, nextUpdate }) => {
    if (nextUpdate === undefined || nextUpdate > now) return [];
    const due = new Date(nextUpdate).toISOString();
    const message =
      `The revocation list of "${issuerName}" stays in force, though a newer one was due at ${due}, and what was ` +
      `revoked since is not refused: put a newer one into ${CRL_FILE}.`;
    return [{ severity: "error", message }];
  });
}

/** Authorities of a chain that a list takes back. They sign on until another is there: without one nobody would be served at all. */
export function revokedAuthorities(
  chain: readonly Uint8Array[],
  lists: readonly RevocationList[],
): readonly AuthorityFault[] {
  const revocations = new Revocations(lists);
  return chain.flatMap((der) => {
    const why = revocations.whyRevoked(new X509Certificate(der));
    if (why === undefined) return [];
    const message =
      `The authority's intermediate ${why}, and whoever has ${CRL_FILE} refuses what it signs: give this cluster a new ` +
      "authority.";
    return [{ severity: "error", message }];
  });
}
