import { idOf, type Metadata, type ObjectId } from "./metadata.ts";

/** What a workload's identity is named after. */
export interface ServiceAccount {
  readonly id: ObjectId;
  /** No new identity is given in its name once its deletion was asked for. */
  readonly deleting: boolean;
}

export function readServiceAccount(metadata: Metadata): ServiceAccount {
  return { id: idOf(metadata), deleting: metadata.deleting };
}
