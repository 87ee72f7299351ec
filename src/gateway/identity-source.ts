import type { Host } from "../host.ts";
import { type DelegatedTarget, followDelegated, followWorkloadApi } from "../spire/agent-api.ts";
import { askCa } from "./ask-ca.ts";
import { EnvoyFollower } from "./envoy-follower.ts";
import type { IdentityKeeper } from "./held-svid.ts";
import { processBegunAt } from "./process-table.ts";
import type { RootFile } from "./root-file.ts";
import type { GatewaySettings } from "./settings.ts";
import { type FollowSpire, SpireKeeper } from "./spire-keeper.ts";
import type { SpireSource } from "./spire-settings.ts";
import { SvidKeeper } from "./svid-keeper.ts";
import type { Svid } from "./svid.ts";

export interface IdentityUse {
  readonly rootFile: RootFile;
  /** Of our Envoy; undefined while it does not run. */
  envoyPid(): number | undefined;
  useSvid(svid: Svid): void;
}

/** Our identity, from SPIRE if we were told so, and then from nobody else; else from the mesh's own CA. */
export function identityKeeper(host: Host, settings: GatewaySettings, use: IdentityUse): IdentityKeeper {
  const { spire, trustDomain, place } = settings;
  if (spire === undefined) return caKeeper(host, settings, use);
  const ours = { namespace: place.namespace, serviceAccount: spire.serviceAccount, trustDomain };
  return new SpireKeeper(host, ours, following(host, spire, use), (svid) => use.useSvid(svid));
}

/** SPIRE attests Envoy, which then has to run before it has an identity. */
export const asksForEnvoy = ({ spire }: GatewaySettings): boolean =>
  spire?.api === "delegated" && spire.asks === "envoy";

function following(host: Host, spire: SpireSource, { envoyPid }: IdentityUse): FollowSpire {
  const { socket } = spire;
  if (spire.api === "workload") return (events) => followWorkloadApi(host, socket, events);
  const { asks } = spire;
  const delegated =
    (target: DelegatedTarget): FollowSpire =>
    (events) =>
      followDelegated(host, socket, target, events);
  if (asks !== "envoy") return delegated({ selectors: asks });
  const processes = { pid: envoyPid, begunAt: processBegunAt };
  return (events) => new EnvoyFollower(host.clock, processes, (pid, heard) => delegated({ pid })(heard), events);
}

function caKeeper(host: Host, settings: GatewaySettings, { rootFile, useSvid }: IdentityUse): IdentityKeeper {
  const { ca, controlPlaneName, tokenFile, place, certificateTtlSeconds: ttlSeconds, serviceAccount } = settings;
  const { cluster, namespace } = place;
  const trustDomain = (): string | undefined => settings.trustDomain ?? keeper.svid?.trustDomain;
  const account = { namespace, serviceAccount, trustDomain };
  const authority = { address: ca, serverName: controlPlaneName, tokenFile, cluster, ttlSeconds, ...account };
  const keeper = new SvidKeeper(host, (signal) => askCa(host, authority, rootFile, signal), useSvid);
  return keeper;
}
