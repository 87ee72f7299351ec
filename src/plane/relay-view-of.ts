import type { AuthorityUse } from "../ca/authority-use.ts";
import type { EpochMs } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { RelayAgent } from "../relay/agent.ts";
import type { Installed } from "../relay/installed.ts";
import type { RelayLink } from "../relay/link.ts";
import type { AuthorityInUse, KeptAuthority, RelayView } from "../relay/relay-view.ts";
import type { RelaySink } from "./relay-sink.ts";

export interface RelayViewed {
  readonly cluster: ClusterId;
  readonly trustDomain: string;
  readonly now: EpochMs;
  readonly manager: string;
  readonly sink: Pick<RelaySink, "title">;
  readonly use: AuthorityUse | undefined;
  /** Undefined while another replica has the stream. */
  readonly link?: RelayLink;
  readonly agent?: RelayAgent;
  readonly restarts: readonly string[];
  readonly problems: readonly string[];
}

const OWNERS: Readonly<Record<Installed["kind"], KeptAuthority["owner"]>> = {
  own: "ours",
  foreign: "foreign",
  absent: "absent",
  unknown: "unread",
};

export function relayView(viewed: RelayViewed): RelayView {
  const { cluster, trustDomain, now, manager, sink, use, link, agent, restarts, problems } = viewed;
  const { lastHeard, clientNotAfter } = link ?? {};
  const renewsAt = agent?.renewsAt;
  return {
    ...{ cluster, trustDomain, now, manager, restarts, problems },
    state: link?.state ?? "away",
    ...(link !== undefined && { since: link.since }),
    ...(lastHeard !== undefined && { lastHeard }),
    reason: link === undefined ? "another replica has the stream to the trust manager" : link.reason,
    generation: agent?.generation ?? "",
    ...(agent?.order !== undefined && { ordered: agent.order.generation }),
    ...(clientNotAfter !== undefined && { clientNotAfter }),
    ...(renewsAt !== undefined && { renewsAt }),
    waits: agent?.waits ?? use?.waits ?? [],
    ...(agent !== undefined && { kept: { title: sink.title, owner: OWNERS[agent.installed.kind] } }),
    ...(use !== undefined && { authority: authorityInUse(use) }),
  };
}

/** Of a control plane that has no trust manager. */
export function relayOff(
  { cluster, trustDomain, now }: Pick<RelayView, "cluster" | "trustDomain" | "now">,
  use: AuthorityUse | undefined,
): RelayView {
  return {
    ...{ cluster, trustDomain, now, manager: "", state: "off", reason: "", generation: "" },
    ...{ waits: [], problems: [], restarts: [] },
    ...(use !== undefined && { authority: authorityInUse(use) }),
  };
}

function authorityInUse({ authority }: AuthorityUse): AuthorityInUse {
  const base64 = (ders: readonly Uint8Array[]): readonly string[] =>
    ders.map((der) => Buffer.from(der).toString("base64"));
  return { chain: base64(authority.chain), roots: base64(authority.roots) };
}
