// The API without endpoints, to which the generated file adds them.
import { createApi, fetchBaseQuery } from '@reduxjs/toolkit/query/react'

export const session = { api: '', token: '' }

export const emptyApi = createApi({
  baseQuery: (request, store, options: {}) =>
    fetchBaseQuery({
      baseUrl: session.api,
      prepareHeaders: (headers) => {
        if (session.token) {
          headers.set('Authorization', `Bearer ${session.token}`)
        }
      },
    })(request, store, options),
  endpoints: () => ({}),
})
