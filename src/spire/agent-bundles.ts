import type { SpireBundles } from "./bundles.ts";
import type { AgentSvids } from "./spire.ts";

type Said = AgentSvids["bundles"];

/** Of an agent's bundles, that of our own trust domain. */
export function takeOwn(bundles: SpireBundles, said: Said, trustDomain: string): void {
  const authorities = said.get(trustDomain);
  const [other] = said.keys();
  // An agent of another trust domain names its own, and not ours.
  if (authorities === undefined && other !== undefined) bundles.sayOwn({ trustDomain: other, authorities: [] });
  else bundles.sayOwn({ trustDomain, authorities: authorities ?? [] });
}

/** The others, which our entry is federated with. */
export function takeFederated(bundles: SpireBundles, said: Said, trustDomain: string): void {
  const others = [...said].filter(([name]) => name !== trustDomain);
  bundles.sayFederated(others.map(([name, authorities]) => ({ trustDomain: name, authorities })));
}
