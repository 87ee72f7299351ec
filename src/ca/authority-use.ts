import type { Authority } from "./authority.ts";

/** What a control plane does with the authority that it was given. */
export interface AuthorityUse {
  /** What signs now, with all roots that workloads are told to trust. */
  readonly authority: Authority;
  /** What was last taken up: it may wait for its turn. What comes after it must not part the mesh from its roots. */
  readonly adopted: Authority;
  /** What is staged and waits, and why. */
  readonly waits: readonly string[];
  /** Why what was found last is not taken up. */
  readonly refusals: readonly string[];
}

/** Of one that nothing takes the place of yet. */
export const firstUse = (authority: Authority): AuthorityUse => ({
  authority,
  adopted: authority,
  waits: [],
  refusals: [],
});
