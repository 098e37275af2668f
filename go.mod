module github.com/noon-deploy/noon

go 1.26
