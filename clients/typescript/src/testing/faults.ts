import type { operations } from '../schema.js'
import type { Fault as FaultState, NewFault } from './schema.js'

export type { FaultState }

/** The operations of the API, by the ids that the contract gives them. */
export type OperationId = keyof operations

/** The statuses that the contract documents for an operation. */
export type StatusOf<Id extends OperationId> = Extract<keyof operations[Id]['responses'], number>

/** What goes wrong with calls of one operation: an answer, a broken connection, or only a delay. */
export type FaultOf<Id extends OperationId> = Pick<NewFault, 'delay' | 'times'> & { operationId: Id } & (
    | {
        /** A status that the contract documents for the operation. The answer is the contract's example of it. */
        status: StatusOf<Id>
        /** The name of the example in the contract, if the status has several. */
        example?: string
        broken?: never
      }
    | {
        /** The connection is closed without an answer, `before` the operation is done or `after` it was done. */
        broken: 'before' | 'after'
        status?: never
        example?: never
      }
    | { delay: number; status?: never; example?: never; broken?: never }
  )

/** What goes wrong, with an operation and statuses of the contract: anything else does not compile. */
export type Fault = { [Id in OperationId]: FaultOf<Id> }[OperationId]
