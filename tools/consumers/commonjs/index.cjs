const { createConduitClient } = require('@conduit/client')

const conduit = createConduitClient({ baseUrl: process.env.CONDUIT_API })
conduit.GET('/articles', { params: { query: { limit: 1 } } }).then((result) => {
  console.log(result.status, result.data.articles.length)
})
