import type { DebugPage } from "../debug-page.ts";
import type { TrustManager } from "../manager/manager.ts";

/** What the admin port of a trust manager shows. No key, token or request is among it. */
export const managerPages = (manager: TrustManager): readonly DebugPage[] => [
  {
    name: "trustz",
    help: "The policy, its roots and where a change of them is, and each cluster: what causeway trust status prints",
    render: () => manager.view(),
  },
  {
    name: "problemz",
    help: "What keeps the manager from reading its objects",
    render: () => manager.problems(),
  },
];
