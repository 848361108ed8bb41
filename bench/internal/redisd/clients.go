package redisd

import (
	"context"
	"strconv"
)

// Connections is the number of connections of the server.
func (s *Server) Connections(ctx context.Context) (float64, error) {
	info, err := s.Client.InfoMap(ctx, "clients").Result()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(info["Clients"]["connected_clients"], 64)
}
