export type { Fault, FaultOf, FaultState, OperationId, StatusOf } from './faults.js'
export { demoPassword, LoginError, type LoginOptions, type Person, type RegisterOptions } from './people.js'
export { connectServer, shareServer, startServer, TestServerError, type Server, type ServerOptions } from './server.js'
export {
  createWorld,
  type World,
  type WorldClock,
  type WorldFaults,
  type WorldOptions,
  type WorldState,
} from './world.js'
export { WorldError } from './worlds.js'
